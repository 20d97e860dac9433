// SPDX-License-Identifier: GPL-2.0
/*
 * silly_copy with the defect that course texts show: the caller's length is
 * believed. The compiler would see the overflow and the hardened copy would
 * stop it, so the unchecked copy is spelt out.
 */
#include <linux/errno.h>
#include <linux/syscalls.h>
#include <linux/uaccess.h>

SYSCALL_DEFINE3(silly_copy, const void __user *, src, void __user *, dest,
		size_t, len)
{
	unsigned long buffer;

	if (!access_ok(src, len) || raw_copy_from_user(&buffer, src, len))
		return -EFAULT;
	if (!access_ok(dest, len) || raw_copy_to_user(dest, &buffer, len))
		return -EFAULT;
	return len;
}
