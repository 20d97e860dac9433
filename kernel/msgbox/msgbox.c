// SPDX-License-Identifier: GPL-2.0
/*
 * A box of byte messages for all processes: the last one put in is the first
 * one taken out.
 */
#include <linux/errno.h>
#include <linux/list.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/syscalls.h>
#include <linux/uaccess.h>

/* The longest message, so that one call cannot ask for all memory. */
#define MSGBOX_MAX_LENGTH	(1024UL * 1024)

struct msgbox_message {
	struct list_head list;
	size_t length;
	char data[];
};

static LIST_HEAD(msgbox);
/* Guards the list only: copying to and from user space may sleep. */
static DEFINE_SPINLOCK(msgbox_lock);

SYSCALL_DEFINE2(dm510_msgbox_put, const char __user *, buffer, size_t, length)
{
	struct msgbox_message *message;

	if (!buffer)
		return -EFAULT;
	if (length > MSGBOX_MAX_LENGTH)
		return -ENOMEM;

	/* The memory is the caller's doing, so its memory cgroup pays for it. */
	message = kvmalloc(struct_size(message, data, length),
			   GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!message)
		return -ENOMEM;
	message->length = length;
	if (copy_from_user(message->data, buffer, length)) {
		kvfree(message);
		return -EFAULT;
	}

	spin_lock(&msgbox_lock);
	list_add(&message->list, &msgbox);
	spin_unlock(&msgbox_lock);
	return 0;
}

SYSCALL_DEFINE2(dm510_msgbox_get, char __user *, buffer, size_t, length)
{
	struct msgbox_message *message;
	long result;

	/* Looking and taking are one step, or two callers get one message. */
	spin_lock(&msgbox_lock);
	message = list_first_entry_or_null(&msgbox, struct msgbox_message, list);
	if (message && buffer)
		list_del(&message->list);
	spin_unlock(&msgbox_lock);

	if (!message)
		return -ENODATA;
	if (!buffer)
		return -EFAULT;

	result = message->length;
	if (copy_to_user(buffer, message->data, min(length, message->length)))
		result = -EFAULT;
	kvfree(message);
	return result;
}
