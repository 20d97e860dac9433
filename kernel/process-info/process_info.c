// SPDX-License-Identifier: GPL-2.0
/*
 * getProcessInfo: says hello in the kernel's log.
 */
#include <linux/printk.h>
#include <linux/syscalls.h>

SYSCALL_DEFINE0(getProcessInfo)
{
	pr_info("getProcessInfo - hey there\n");
	return 0;
}
