// SPDX-License-Identifier: GPL-2.0
/*
 * six_args tells which arguments arrived; no_args needs none.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/sched.h>
#include <linux/syscalls.h>
#include <linux/uaccess.h>

SYSCALL_DEFINE6(six_args, unsigned long, a, unsigned long, b, unsigned long, c,
		unsigned long, d, unsigned long, e, unsigned long __user *, out)
{
	unsigned long seen[] = { a, b, c, d, e, (unsigned long)out };

	if (copy_to_user(out, seen, sizeof(seen)))
		return -EFAULT;
	return ARRAY_SIZE(seen);
}

SYSCALL_DEFINE0(no_args)
{
	return task_tgid_vnr(current);
}
