// SPDX-License-Identifier: GPL-2.0
/*
 * gated: succeeds for those who may reboot the machine.
 */
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/syscalls.h>

SYSCALL_DEFINE0(gated)
{
	return capable(CAP_SYS_BOOT) ? 0 : -EPERM;
}
