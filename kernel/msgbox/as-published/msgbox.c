// SPDX-License-Identifier: GPL-2.0
/*
 * The message box with the defect that course texts show: switching off the
 * interrupts of one processor is taken for a lock. On two processors the list
 * is torn, messages are lost, freed twice, or NULL is followed.
 */
#include <linux/errno.h>
#include <linux/irqflags.h>
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/syscalls.h>
#include <linux/uaccess.h>

struct msgbox_message {
	struct msgbox_message *below;
	size_t length;
	char *data;
};

static struct msgbox_message *top;

SYSCALL_DEFINE2(dm510_msgbox_put, const char __user *, buffer, size_t, length)
{
	struct msgbox_message *message;
	unsigned long flags;

	if (!buffer)
		return -EFAULT;
	message = kmalloc(sizeof(*message), GFP_KERNEL);
	if (!message)
		return -ENOMEM;
	message->length = length;
	message->data = kmalloc(length, GFP_KERNEL | __GFP_NOWARN);
	if (!message->data) {
		kfree(message);
		return -ENOMEM;
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

SYSCALL_DEFINE2(dm510_msgbox_get, char __user *, buffer, size_t, length)
{
	struct msgbox_message *message;
	unsigned long flags;
	long result;

	if (!top)
		return -ENODATA;
	if (!buffer)
		return -EFAULT;

	local_irq_save(flags);
	message = top;
	top = message->below;
	local_irq_restore(flags);

	result = message->length;
	if (copy_to_user(buffer, message->data, min(length, message->length)))
		result = -EFAULT;
	kfree(message->data);
	kfree(message);
	return result;
}
