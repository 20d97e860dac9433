// SPDX-License-Identifier: Apache-2.0
/// Functions that a fault passes through without being to blame for it.
struct FrameFilter: Sendable {
    private let names: Set<String>
    private let prefixes: [String]

    /// Reads names parted by blanks; one that ends in `*` stands for all that begin so.
    init(_ list: String) {
        let words = list.split(whereSeparator: \.isWhitespace)
        names = Set(words.filter { $0.last != "*" }.map(String.init))
        prefixes = words.filter { $0.last == "*" }.map { String($0.dropLast()) }
    }

    func contains(_ function: String) -> Bool {
        names.contains(function) || prefixes.contains { function.hasPrefix($0) }
    }

    /// What reports a fault, delivers an exception, or is an everyday helper whose caller made the mistake.
    static let common = FrameFilter(
        """
        dump_stack dump_stack_lvl __dump_stack show_stack show_regs __show_regs show_trace_log_lvl nmi_cpu_backtrace*
        panic __warn __warn_printk warn_slowpath* report_bug handle_bug fixup_bug die die_addr __die* oops_*
        page_fault_oops kernelmode_fixup_or_oops no_context bad_area* __bad_area* do_user_addr_fault do_kern_addr_fault
        do_error_trap do_trap handle_page_fault exc_* asm_exc_* fixup_exception ex_handler_* __stack_chk_fail check_panic_on_warn
        kasan_* __kasan_* ____kasan_* __asan_* __hwasan_* kmsan_* __msan_* kcsan_* __tsan_* kfence_* __kfence_*
        check_region_inline check_memory_region print_report print_address_description end_report
        __ubsan_* ubsan_* __ubsan handle_overflow report_*_bug
        lock_acquire lock_release __lock_acquire __lock_release lock_is_held* lockdep_* __lockdep* validate_chain
        check_noncircular check_prev_add check_prevs_add check_deadlock check_irq_usage check_path check_wait_context
        mark_lock mark_usage mark_lock_irq mark_held_locks reacquire_held_locks register_lock_class look_up_lock_class
        debug_check_no_locks_freed debug_check_no_locks_held print_circular_bug print_deadlock_bug print_usage_bug
        print_irq_inversion_bug print_bad_irq_dependency print_lock_invalid_wait_context print_freed_lock_bug
        print_lock_nested_lock_not_held print_held_locks_bug print_lock_contention_bug print_unlock_imbalance_bug
        spin_bug rwlock_bug do_raw_* _raw_spin_* _raw_read_* _raw_write_* __raw_spin_* __raw_read_* __raw_write_*
        native_queued_spin_* __pv_queued_spin_* queued_spin_* queued_read_* queued_write_*
        mutex_lock* __mutex_* mutex_unlock* mutex_trylock* down down_* __down* up up_* __up* rwsem_* __rwsem*
        rt_mutex_* __rt_mutex* osq_lock osq_unlock
        memcpy __memcpy memcpy_orig memmove __memmove memset __memset memset_orig memcmp memchr memscan
        strcmp strncmp strcpy strncpy strlcpy strscpy* sized_strscpy strlen strnlen strchr strstr strcat strncat
        copy_to_user copy_from_user _copy_to_user _copy_from_user __copy_to_user* __copy_from_user* copy_user_* gp_try_fixup_and_notify
        rep_movs_alternative rep_stos_alternative clear_user* __clear_user _inline_copy_*
        __get_user_* __put_user_* get_user put_user strncpy_from_user do_strncpy_from_user strnlen_user
        might_fault __might_fault might_sleep __might_sleep ___might_sleep __might_resched might_resched
        __list_add_valid* __list_del_entry_valid* list_add* list_del* __list_* refcount_warn_saturate
        __x86_indirect_thunk_* __x86_return_thunk srso_* printk _printk vprintk*
        """)

    /// The allocators: what they report is their caller's doing.
    static let allocators = FrameFilter(
        """
        kmalloc* __kmalloc* __do_kmalloc* ____kmalloc* kzalloc* kcalloc* krealloc* __do_krealloc kvmalloc* __kvmalloc*
        kvcalloc vmalloc* __vmalloc* vzalloc* kmem_cache_* __kmem_cache_* slab_* __slab_* ___slab_* new_slab
        allocate_slab kmemleak_* __create_object create_object* kfree kfree_* __kfree* kvfree* vfree __vfree vunmap
        free_large_kmalloc free_pages* __free_pages* alloc_pages* __alloc_pages* get_free_pages* __get_free_pages*
        free_unref_* do_slab_free free_to_partial_list free_debug_processing object_err check_object check_bytes_*
        poison_slab* kmemdup* memdup_user* vmemdup_user kstrdup* kstrndup strndup_user kasprintf kvasprintf*
        mempool_* should_fail* fs_reclaim_* might_alloc pcpu_alloc* __alloc_percpu* cache_free* ___cache_free
        ____cache_alloc* qlist_* quarantine_* object_depot* set_track* stack_depot_*
        """)

    /// The scheduler, and what waits by it.
    static let scheduling = FrameFilter(
        """
        __schedule schedule schedule_* __schedule_* preempt_schedule* io_schedule* context_switch __switch_to*
        cond_resched* __cond_resched* wait_for_* __wait_for_* do_wait_for_* wait_on_* __wait_on_* bit_wait*
        out_of_line_wait* prepare_to_wait* finish_wait synchronize_* __synchronize_* kthread_stop flush_work*
        __flush_work* flush_workqueue __flush_workqueue drain_workqueue cancel_work_sync cancel_delayed_work*
        __cancel_work* usleep_range* msleep* do_nanosleep rtnl_lock* *_lock_common preempt_count_add preempt_count_sub
        """)

    /// The users of debug objects, and read-copy update.
    static let objectUsers = FrameFilter(
        """
        debug_* __debug_* rcu_* call_rcu* __call_rcu* kvfree_call_rcu hrtimer_* timer_* init_timer* __init_work
        init_work* mod_timer* __mod_timer add_timer* del_timer* work_* percpu_* kobject_* free_obj_work destroy_work*
        destroy_timer* queue_work* __queue_work* __queue_delayed_work
        """)

    /// Reference counts and what is built on them.
    static let counters = FrameFilter("refcount_* __refcount_* kref_* kobject_* get_device put_device")

    /// Read-copy update's own checks.
    static let rcu = FrameFilter("rcu_* __rcu_* lockdep_rcu_* srcu_* __srcu_*")

    /// Hardened usercopy's checks.
    static let usercopy = FrameFilter("usercopy_* __check_object* check_* __check_heap_object __check_*")

    /// What is found at work on a processor that someone else holds up.
    static let waiting = FrameFilter(
        """
        smp_call_function* csd_lock_wait* __csd_lock_wait delay_tsc __delay __const_udelay __udelay delay_loop
        io_serial_* serial8250_* mem_serial_* uart_* console_* native_safe_halt pv_native_safe_halt default_idle*
        arch_cpu_idle cpuidle_* do_idle cpu_startup_entry cpu_idle* mwait_idle* acpi_idle* acpi_safe_halt
        rcu_* __rcu_* sched_tick scheduler_tick update_process_times tick_* hrtimer_* __hrtimer_* sysvec_* asm_sysvec_*
        __sysvec_* local_apic_timer* trigger_* nmi_* sched_show_task show_state_filter dump_cpu_task check_cpu_stall
        print_cpu_stall print_other_cpu_stall cpu_relax rep_nop finish_task_switch* watchdog_* perf_event_*
        __perf_event_* kallsyms_* __irq_exit_rcu irq_exit* sync_* __do_softirq handle_softirqs
        """)

    /// The functions that call into a part of the kernel by a table: the one that they called is where a stall belongs,
    /// wherever in it the processor happened to be.
    static let dispatchers = FrameFilter(
        """
        do_syscall_64 do_syscall_x64 __do_fast_syscall_32 do_fast_syscall_32 do_int80_syscall_32 do_int80_emulation
        do_SYSENTER_32 do_syscall_32_irqs_on entry_SYSCALL_64* process_one_work kthread ret_from_fork* call_timer_fn
        run_timer_softirq smpboot_thread_fn
        """)

    /// The tables themselves.
    static let dispatchTables = FrameFilter("x64_sys_call x32_sys_call ia32_sys_call")
}
