// SPDX-License-Identifier: GPL-2.0
/*
 * The strict message box with the defect that course texts show: the message is
 * copied to user space with interrupts off. The copy may fault, and a fault may
 * sleep, which is forbidden there. On two processors it is no lock either.
 */
#include <linux/errno.h>
#include <linux/irqflags.h>
#include <linux/slab.h>
#include <linux/syscalls.h>
#include <linux/uaccess.h>

struct msgbox_message {
	struct msgbox_message *below;
	int length;
	char *data;
};

static struct msgbox_message *top;

SYSCALL_DEFINE2(dm510_msgbox_put, const char __user *, buffer, int, length)
{
	struct msgbox_message *message;
	unsigned long flags;

	if (!buffer || length < 0)
		return -EINVAL;
	message = kmalloc(sizeof(*message), GFP_KERNEL);
	if (!message)
		return -EADDRNOTAVAIL;
	message->length = length;
	message->data = kmalloc(length, GFP_KERNEL | __GFP_NOWARN);
	if (!message->data) {
		kfree(message);
		return -EADDRNOTAVAIL;
	}
	if (copy_from_user(message->data, buffer, length)) {
		kfree(message->data);
		kfree(message);
		return -EFAULT;
	}

	local_irq_save(flags);
	message->below = top;
	top = message;
	local_irq_restore(flags);
	return 0;
}

SYSCALL_DEFINE2(dm510_msgbox_get, char __user *, buffer, int, length)
{
	struct msgbox_message *message;
	unsigned long flags;
	long result;

	if (!buffer || length < 0)
		return -EINVAL;

	local_irq_save(flags);
	message = top;
	if (!message) {
		result = -ENODATA;
	} else if (length < message->length) {
		result = -EMSGSIZE;
	} else if (copy_to_user(buffer, message->data, message->length)) {
		result = -EFAULT;
	} else {
		result = message->length;
		top = message->below;
		kfree(message->data);
		kfree(message);
	}
	local_irq_restore(flags);
	return result;
}
