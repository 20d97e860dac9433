// SPDX-License-Identifier: GPL-2.0
/*
 * memcpy_struct: copies within the caller's memory; the arguments come in a
 * struct, whose layout is another one in 32-bit programs.
 */
#include <linux/compat.h>
#include <linux/errno.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/syscalls.h>
#include <linux/uaccess.h>

/* The most bytes that one call copies: the size of the buffer. */
#define MEMCPY_STRUCT_MAX	(1024UL * 1024)

struct memcpy_struct {
	const void __user *src;
	void __user *dst;
	unsigned long size;
};

static long memcpy_struct_copy(const struct memcpy_struct *args)
{
	long result = 0;
	void *buffer;

	if (args->size > MEMCPY_STRUCT_MAX)
		return -E2BIG;
	if (!args->size)
		return 0;

	/* The memory is the caller's doing, so its memory cgroup pays for it. */
	buffer = kvmalloc(args->size, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!buffer)
		return -ENOMEM;

	/* All is read before any is written, so the two may overlap. */
	if (copy_from_user(buffer, args->src, args->size) ||
	    copy_to_user(args->dst, buffer, args->size))
		result = -EFAULT;
	kvfree(buffer);
	return result;
}

SYSCALL_DEFINE1(memcpy_struct, const struct memcpy_struct __user *, args)
{
	struct memcpy_struct copy;

	if (copy_from_user(&copy, args, sizeof(copy)))
		return -EFAULT;
	return memcpy_struct_copy(&copy);
}

#ifdef CONFIG_COMPAT
/* Pointers and long have 4 bytes in a 32-bit program: 12 bytes, not 24. */
struct compat_memcpy_struct {
	compat_uptr_t src;
	compat_uptr_t dst;
	compat_ulong_t size;
};

COMPAT_SYSCALL_DEFINE1(memcpy_struct,
		       const struct compat_memcpy_struct __user *, args)
{
	struct compat_memcpy_struct compat;
	struct memcpy_struct copy;

	if (copy_from_user(&compat, args, sizeof(compat)))
		return -EFAULT;
	copy.src = compat_ptr(compat.src);
	copy.dst = compat_ptr(compat.dst);
	copy.size = compat.size;
	return memcpy_struct_copy(&copy);
}
#endif
