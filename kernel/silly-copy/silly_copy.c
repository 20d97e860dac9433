// SPDX-License-Identifier: GPL-2.0
/*
 * silly_copy: copies up to sizeof(long) bytes by way of the kernel's stack.
 */
#include <linux/errno.h>
#include <linux/syscalls.h>
#include <linux/uaccess.h>

SYSCALL_DEFINE3(silly_copy, const void __user *, src, void __user *, dest,
		size_t, len)
{
	unsigned long buffer;

	if (len > sizeof(buffer))
		return -EINVAL;
	if (copy_from_user(&buffer, src, len))
		return -EFAULT;
	if (copy_to_user(dest, &buffer, len))
		return -EFAULT;
	return len;
}
