// SPDX-License-Identifier: Apache-2.0
/// Functions in a fault's call trace that are not to blame for it.
struct FrameFilter: Sendable {
    private let names: Set<String>
    /// By their first byte, so that a name costs a few comparisons and not one for each word of a list.
    private let prefixes: [UInt8: [[UInt8]]]
    private let infixes: [UInt8: [[UInt8]]]
    private let suffixes: [[UInt8]]

    /// Parses names separated by blanks; a `*` at one end, or at both, matches any text.
    init(_ list: String) {
        let words = list.split(whereSeparator: \.isWhitespace)
        func bare(_ first: Bool, _ last: Bool) -> [[UInt8]] {
            words.filter { ($0.first == "*") == first && ($0.last == "*") == last }
                .map { Array($0.utf8.dropFirst(first ? 1 : 0).dropLast(last ? 1 : 0)) }
        }
        func table(_ words: [[UInt8]]) -> [UInt8: [[UInt8]]] { Dictionary(grouping: words) { $0.first ?? 0 } }
        names = Set(bare(false, false).map { String(decoding: $0, as: UTF8.self) })
        prefixes = table(bare(false, true))
        infixes = table(bare(true, true))
        suffixes = bare(true, false)
    }

    /// The prefixes that SYSCALL_DEFINE adds to a call's name (include/linux/syscalls.h,
    /// arch/*/include/asm/syscall_wrapper.h).
    private static let systemCallPrefixes = ["__do_sys_", "__se_sys_", "__x64_sys_", "__ia32_sys_", "__arm64_sys_"]

    func contains(_ function: String) -> Bool {
        if names.contains(function) { return true }
        // A user's call may have the name of a helper: `*_memcpy` does not match sys_memcpy, `*sys_ioctl` does.
        let isCall = Self.systemCallPrefixes.contains { function.hasPrefix($0) }
        func isMeant(_ word: [UInt8]) -> Bool { !isCall || String(decoding: word, as: UTF8.self).contains("sys_") }
        let name = Array(function.utf8)
        guard let first = name.first else { return false }
        if let words = prefixes[first], words.contains(where: { name.starts(with: $0) && isMeant($0) }) { return true }
        if !suffixes.isEmpty,
            suffixes.contains(where: {
                name.count >= $0.count && name.suffix($0.count).elementsEqual($0) && isMeant($0)
            })
        {
            return true
        }
        if infixes.isEmpty { return false }
        for index in name.indices {
            guard let words = infixes[name[index]] else { continue }
            if words.contains(where: { name[index...].starts(with: $0) && isMeant($0) }) { return true }
        }
        return false
    }

    /// Functions that report a fault or deliver an exception, and common helpers whose caller made the mistake.
    static let common = FrameFilter(
        """
        dump_stack* __dump_stack show_stack* show_regs __show_regs show_trace_log_lvl dump_backtrace* unwind_backtrace
        show_data nmi_cpu_backtrace* arch_stack_walk* stack_trace_save* save_stack* __save_stack* nmi_panic
        panic panic_* __panic __warn* warn_slowpath* warn_alloc* warn_bogus* report_bug* handle_bug fixup_bug* die die_addr
        __die* oops_* bug_handler call_break_hook brk_handler do_debug_exception el0_dbg el1_dbg bug_at rust_helper_*
        page_fault_oops kernelmode_fixup_or_oops no_context bad_area* __bad_area* do_user_addr_fault do_kern_addr_fault
        do_error_trap do_trap do_trap_no_signal do_invalid_op do_invalid_opcode invalid_op do_general_protection
        general_protection do_int3 do_divide_error divide_error do_page_fault __do_page_fault page_fault async_page_fault
        do_async_page_fault trace_do_page_fault do_kernel_fault __do_kernel_fault do_mem_abort do_translation_fault
        do_tag_check_fault do_bad_area do_sp_pc_abort do_undefinstr do_undef_instr do_el1_* el1_abort el1_undef el1_sync*
        el1h_64_* el1_da el1_ia el1_irq* el1_interrupt el1_dbg* el1_pc el1_inv el0_inv bad_mode do_serror* handle_bad_stack
        __bad_stack panic_bad_stack do_DataAbort do_PrefetchAbort print_tainted do_page_fault_* handle_exception
        do_trap_* do_pgm_check __do_pgm_check pgm_check_* do_protection_exception do_dat_exception
        interrupt_return_* data_access_* program_check_* do_program_check __bad_page_fault bad_page_fault hash__do_page_fault
        handle_page_fault* exc_* asm_exc_* idtentry_* fixup_exception ex_handler_* retint_* error_entry error_exit
        ret_from_exception __stack_chk_fail stack_chk_fail* check_panic_on_warn
        *kasan_* *hwasan_* *kmsan_* __msan_* *kcsan_* *kfence_* __asan_* __tsan_* *sanitizer_* read_word_at_a_time
        check_region_inline check_memory_region* memory_is_* print_report print_address_description* end_report
        __ubsan_* ubsan_* __ubsan handle_overflow value_check_* *fortify_panic *fortify_report
        lock_acquire* lock_release* __lock_acquire __lock_release lock_is_held* *lockdep_* validate_chain lock_map_*
        rcu_lock_acquire rcu_lock_release rcu_read_lock rcu_read_unlock rcu_read_lock_* srcu_lock_* trace_hardirqs_*
        check_noncircular check_prev_add check_prevs_add check_deadlock check_irq_usage check_path check_wait_context
        mark_lock mark_usage mark_lock_irq mark_held_locks reacquire_held_locks register_lock_class look_up_lock_class
        assign_lock_key debug_check_no_locks_freed debug_check_no_locks_held print_circular_bug* print_deadlock_bug
        print_usage_bug* print_irq_inversion_bug print_bad_irq_dependency print_lock_invalid_wait_context
        print_freed_lock_bug print_lock_nested_lock_not_held print_held_locks_bug print_lock_contention_bug
        print_unlock_imbalance_bug check_unlock_imbalance check_flags*
        spin_bug spin_dump rwlock_bug do_raw_* *raw_spin_* _raw_read_* _raw_write_* __raw_read_* __raw_write_*
        *queued_spin_* queued_read_* queued_write_* spin_lock* spin_unlock* spin_trylock* read_lock* read_unlock*
        write_lock* write_unlock* kvm_wait_* arch_local_irq_* raw_local_irq_* pv_wait pv_kick
        mutex_lock* __mutex_* mutex_unlock* mutex_trylock* ww_mutex_* down down_* __down* up up_* __up* rwsem_* __rwsem*
        percpu_down_* percpu_up_* rt_mutex_* __rt_mutex* rt_spin_* osq_lock* osq_unlock owner_on_cpu seqcount_lock*
        *atomic_read* *atomic_set* *atomic_inc* *atomic_dec* *atomic_add* *atomic_sub* *atomic_fetch* *atomic_try*
        *atomic_cmpxchg* *atomic_xchg* *atomic_or* *atomic_and* *atomic64_* *atomic_long_* cmpxchg* xchg*
        instrument_* check_copy_size check_object_size variable_test_bit arch_test_bit *test_bit* set_bit* clear_bit*
        test_and_* *find_next_bit* *find_first_bit* *find_last_bit* *find_first_zero_bit* *find_next_zero_bit* bitmap_*
        _compound_head compound_head virt_to_* read_once* __read_once* *_once_size* arch_atomic*
        memcpy* __memcpy* *_memcpy memmove* __memmove* memset* __memset* memcmp* memchr* memscan memdup* kmemdup* bcmp
        strcmp* strncmp* strcasecmp* strncasecmp* strcpy* strncpy strlcpy* strscpy* sized_strscpy strlen* strnlen* strchr*
        strrchr strstr strnstr strsep strcat strncat strlcat string string_nocheck strspn strpbrk __strlen
        vsnprintf vsprintf snprintf sprintf vscnprintf scnprintf pointer number format_decode
        copy_to_user* copy_from_user* _copy_to_user* _copy_from_user* __copy_to_user* __copy_from_user* copy_user_*
        __arch_copy_* raw_copy_* *copy_to_iter* *copy_from_iter* *copy_page_to_iter* *copy_page_from_iter* copyin* copyout*
        *copy_folio_to_iter* *copy_folio_from_iter* iterate_and_advance* iterate_bvec iterate_iovec iterate_kvec memcpy_to_iter* memcpy_from_iter* copy_to_user_iter*
        copy_from_user_iter* gp_try_fixup_and_notify rep_movs_alternative rep_stos_alternative *clear_user* _inline_copy_*
        *get_user* *put_user* strncpy_from_user* do_strncpy_from_user strnlen_user do_strnlen_user
        might_fault __might_fault might_sleep __might_sleep ___might_sleep __might_resched might_resched __cant_sleep
        __cant_migrate check_preemption_disabled debug_smp_processor_id __this_cpu_preempt_check
        *list_add* *list_del* __list_* list_replace* list_move* list_splice* list_empty* list_entry* hlist_* __hlist_*
        hlist_nulls_* refcount_* __refcount_* kref_* *refcount_warn_saturate*
        rb_erase* __rb_* rb_insert_* rb_first* rb_last* rb_next rb_prev rb_add* rb_link_node ____rb_* interval_tree_*
        crc16* crc32* *crc32c* __crc32* crc_*
        debug_object* __debug_object* debug_check_no_obj_freed __debug_check_* debug_print_object
        *usercopy_* __check_object_size *check_heap_object* check_bogus_address check_stack_object
        ref_tracker_* ida_free ida_remove *folio_lock* *folio_unlock* lock_page* __lock_page* unlock_page*
        skb_panic skb_over_panic skb_under_panic skb_push skb_put __skb_push __skb_put
        __x86_indirect_thunk_* *_indirect_thunk_* __x86_return_thunk srso_* ftrace_* arch_ftrace_*
        lock_sock* release_sock __release_sock kthread_stop* kobject_* sysfs_remove_* sysfs_delete_* usb_kill_urb
        usb_kill_anchored_urbs usb_poison_urb usb_poison_anchored_urbs device_del
        *kmalloc* *kzalloc* *kcalloc* krealloc* *kmem_cache_alloc* *slab_alloc* slab_post_alloc_hook *alloc_pages*
        *printk* __warn_thunk core::* rust_begin_unwind* rustc::* __rustc::*
        """)

    /// The allocators: their reports are caused by their callers.
    static let allocators = FrameFilter(
        """
        *kmalloc* *kzalloc* *kcalloc* krealloc* __do_krealloc* *vmalloc* *vzalloc* *vcalloc *mzalloc *mem_zalloc *mem_alloc *_map_alloc
        *kmem_cache_* *slab_* ___slab_* new_slab allocate_slab alloc_slab* deactivate_slab
        kmemleak_* __create_object create_object* kfree kfree_* __kfree kvfree* vfree* __vfree* vunmap __vunmap
        free_large_kmalloc *free_pages* *alloc_page* *alloc_pages* *get_free_pages* *alloc_frozen_pages* *alloc_mpol*
        free_unref_* free_frozen_pages* __free_frozen_pages* *get_page_from_freelist* rmqueue* post_alloc_hook prep_new_page
        check_new_page* free_pages_prepare free_page_is_bad* bad_page* free_pcp* __free_pages_ok free_one_page
        do_slab_free free_to_partial_list free_debug_processing alloc_debug_processing object_err check_object check_bytes_*
        print_trailer poison_slab* setup_object* memdup_user* vmemdup_user kstrdup* kstrndup* strndup_user kasprintf*
        kvasprintf* devm_k* mempool_* should_fail* fail_dump fs_reclaim_* might_alloc pcpu_alloc* *alloc_percpu* free_percpu
        pcpu_* cache_free* ___cache_free cache_grow* cache_alloc* fallback_alloc ____cache_alloc* qlist_* quarantine_*
        object_depot* *page_owner* save_stack set_track* stack_depot_* alloc_folio* *folio_alloc* *folio_put* __put_page put_page* release_pages
        page_frag_* __page_frag_* page_pool_* __page_pool_*
        """)

    /// Functions that use the allocators, so that a leaked object is their caller's.
    static let objectMakers = FrameFilter(
        """
        *alloc_skb* *build_skb* skb_clone skb_copy* pskb_* sk_alloc sk_prot_alloc sock_alloc* sock_kmalloc sock_kzalloc
        *alloc_inode* new_inode* iget_locked alloc_netdev* __alloc_workqueue* alloc_workqueue* bio_alloc* *bioset*
        getname* alloc_file* alloc_empty_file* __alloc_file dst_alloc radix_tree_* __radix_tree_* idr_* ida_* xas_* __xa_*
        xa_* mas_* *map_area_alloc* sget_userns crypto_alloc* crypto_create* device_create* kobject_create* kset_create*
        usb_alloc_urb *usb_hcd_* kthread_create* __kthread_create* nlmsg_new *_kmemdup* *alloc_objects*
        """)

    /// The scheduler, and the functions that wait with it.
    static let scheduling = FrameFilter(
        """
        __schedule* schedule schedule_* preempt_schedule* ___preempt_schedule* io_schedule* context_switch *switch_to*
        *cond_resched* wait_for_* __wait_for_* do_wait_for_* *wait_on_* bit_wait* do_wait_intr* *completion*
        out_of_line_wait* prepare_to_wait* finish_wait synchronize_* __synchronize_* kthread_stop *flush_work* *flush_delayed*
        *flush_workqueue* drain_workqueue cancel_work_sync cancel_delayed_work* *cancel_work* rcu_barrier* *rcu_barrier*
        usleep_range* msleep* do_nanosleep complete complete_all __wake_up* swake_* *_lock_common preempt_count_add
        preempt_count_sub schedule_debug del_timer* timer_delete* try_to_del_timer* __timer_delete* mod_timer* __mod_timer
        add_timer* init_timer* hrtimer_cancel hrtimer_try_to_cancel *queue_work* *queue_delayed_work*
        """)

    /// The waiting functions of a task that hangs: the path of each lock and each wait to the scheduler.
    static let hanging = FrameFilter(
        """
        *sched* *_lock *_lock_* *_slowlock* *slowpath* *lock_slow* *down* *rwsem* *completion* kthread* *wait* *switch_to*
        *flush_work* *flush_delayed* *drain_workqueue* cancel_* __cancel_* *rcu_barrier* __percpu_* msleep* usleep*
        """)

    /// The users of debug objects, and read-copy update.
    static let objectUsers = FrameFilter(
        """
        debug_* __debug_* *rcu_* *call_rcu* *timer* init_work* __init_work work_* percpu_* kobject_* free_obj_work destroy_work*
        *queue_work* *queue_delayed_work* *hrtimer* put_device device_release
        """)

    /// Reference counts and functions that use them.
    static let counters = FrameFilter(
        "refcount_* __refcount_* kref_* *kobject_* get_device put_device kset_* klist_* device_add device_del get_device_parent"
    )

    /// The removal of drivers' devices, files and network devices: the driver is to blame for a warning there.
    static let removal = FrameFilter(
        """
        *kobject_* kset_* *sysfs_* *kernfs_* device_unregister device_del device_release devres_* put_device get_device
        *unregister_netdev* *rollback_registered* dpm_* klist_* *usb_kill_urb* *usb_kill_anchored_urbs* *usb_poison_*
        *proc_* remove_proc_* idr_* ida_* debugfs_* cdev_del *unregister_sysctl* fast_dput dput iput
        """)

    /// Ciphers and their modes: they read their caller's memory.
    static let ciphers = FrameFilter(
        "aes_* aesti_* *crypto_* xts_* cbc_* ctr_* ecb_* gcm_* *_encrypt *_decrypt sha1_* sha256_* sha512_* *blake2* *chacha*"
    )

    /// Read-copy update's own checks.
    static let rcu = FrameFilter("rcu_* __rcu_* lockdep_rcu_* srcu_* __srcu_*")

    /// Hardened usercopy's checks.
    static let usercopy = FrameFilter("usercopy_* __check_object* check_* __check_heap_object __check_*")

    /// Functions in which a processor waits for another.
    static let waiting = FrameFilter(
        """
        csd_lock_wait* __csd_lock_wait delay_tsc *__delay *const_udelay *__udelay delay_loop
        io_serial_* serial8250_* mem_serial_* uart_* console_* native_safe_halt pv_native_safe_halt *default_idle*
        arch_cpu_idle* cpuidle_* do_idle cpu_startup_entry cpu_idle* mwait_idle* acpi_idle* acpi_safe_halt *rcu_gp_*
        rcu_* __rcu_* sched_tick scheduler_tick update_process_times tick_* hrtimer_* *hrtimer_run* *sysvec_*
        *apic_timer* trigger_* nmi_* *sched_show_task *show_state_filter dump_cpu_task *check_cpu_stall*
        print_cpu_stall* print_other_cpu_stall* cpu_relax rep_nop finish_task_switch* watchdog_* perf_event_overflow* perf_event_nmi_handler
        __perf_event_overflow kallsyms_* *irq_exit* sync_* *do_softirq* handle_softirqs handle_percpu_devid* *handle_domain_irq*
        gic_handle_irq *handle_irq* *handle_IPI* ipi_handler arch_timer_handler* __irq_svc exit_to_user* *exit_to_usermode*
        *syscall_return* irqentry_* schedule* __schedule* preempt_schedule* kthread ret_from_fork* smpboot_thread_fn
        worker_thread *start_secondary* rest_init start_kernel secondary_startup*
        """)

    /// The entries of a timer's interrupt: the frames beneath are the interrupted work.
    static let timerInterrupts = FrameFilter(
        """
        *apic_timer_interrupt* asm_call_on_stack asm_call_irq_on_stack *asm_sysvec* el1_irq* el1h_64_irq* el1_interrupt
        el0_irq* el0t_64_irq* __irq_svc __irq_usr ret_from_irq ret_from_intr common_interrupt asm_common_interrupt
        end_repeat_nmi asm_exc_nmi nmi handle_exception do_irq do_IRQ __do_irq timer_interrupt
        decrementer_common* hardware_interrupt_* do_ext_irq ext_int_handler handle_loongarch_irq
        """)

    /// The functions that call into a part of the kernel through a table: a stall is assigned to the called function,
    /// wherever the processor was in it.
    static let dispatchers = FrameFilter(
        """
        *do_syscall_* *do_fast_syscall_* do_int80_syscall_32 do_int80_emulation do_SYSENTER_32 do_syscall_32_irqs_on
        *sysenter_dispatch* *system_call* tracesys* int_ret_from_sys_call entry_SYSCALL_* entry_SYSENTER* entry_INT80*
        stub_execve* invoke_syscall* el0_svc* ret_fast_syscall* __sys_trace_return handle_syscall do_trap_ecall_u
        ret_from_syscall* handle_sys* *process_one_work* *process_scheduled_works* kthread worker_thread ret_from_fork*
        call_timer_fn* run_timer_* *run_timers* *hrtimer_run_queues* hrtimer_run_softirq *do_softirq* handle_softirqs
        smpboot_thread_fn task_work_run *netif_receive_skb* process_backlog net_rx_action __napi_poll napi_poll
        do_exit vfs_write vfs_read __vfs_write __vfs_read vfs_writev vfs_readv do_iter_* do_loop_readv* new_sync_* call_read_iter call_write_iter
        vfs_ioctl do_vfs_ioctl  blkdev_driver_ioctl blkdev_ioctl compat_blkdev_ioctl lo_compat_ioctl
        mmap_region __mmap_region do_dentry_open vfs_open *nfnetlink_rcv* *netlink_rcv_skb* rtnetlink_rcv* genl_rcv*
        genl_family_rcv* netlink_dump *sock_sendmsg* *sock_recvmsg* ____sys_sendmsg ____sys_recvmsg *smp_call_function*
        flush_smp_call_function_queue* *tasklet_action* start_secondary rest_init cpu_startup_entry *irq_exit* *sys_ioctl *SyS_ioctl
        *SYSC_ioctl blk_mq_run_*
        """)

    /// The tables themselves.
    static let dispatchTables = FrameFilter("x64_sys_call x32_sys_call ia32_sys_call *_sys_call sys_call_table")

    /// The entry of a system call; no function beneath it is to blame.
    static let entries = FrameFilter(
        """
        *do_syscall_* *do_fast_syscall_* do_int80_* do_SYSENTER_32 *sysenter_dispatch* *system_call* tracesys*
        int_ret_from_sys_call entry_SYSCALL_* entry_SYSENTER* entry_INT80* invoke_syscall* el0_svc* ret_fast_syscall*
        do_trap_ecall_u ret_from_syscall* *process_one_work* *process_scheduled_works* kthread ret_from_fork*
        smpboot_thread_fn x64_sys_call ia32_sys_call
        """)
}
