// SPDX-License-Identifier: GPL-2.0
/*
 * A box of byte messages for all processes: the last one put in is the first
 * one taken out, and a message leaves it only whole.
 */
#include <linux/errno.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/syscalls.h>
#include <linux/uaccess.h>

struct msgbox_message {
	struct list_head list;
	int length;
	char data[];
};

static LIST_HEAD(msgbox);
/* A mutex and not a spinlock: a message is copied out while it is held. */
static DEFINE_MUTEX(msgbox_mutex);

SYSCALL_DEFINE2(dm510_msgbox_put, const char __user *, buffer, int, length)
{
	struct msgbox_message *message;

	if (!buffer || length < 0)
		return -EINVAL;

	message = kvmalloc(struct_size(message, data, length),
			   GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!message)
		return -EADDRNOTAVAIL;
	message->length = length;
	if (copy_from_user(message->data, buffer, length)) {
		kvfree(message);
		return -EFAULT;
	}

	mutex_lock(&msgbox_mutex);
	list_add(&message->list, &msgbox);
	mutex_unlock(&msgbox_mutex);
	return 0;
}

SYSCALL_DEFINE2(dm510_msgbox_get, char __user *, buffer, int, length)
{
	struct msgbox_message *message;
	long result;

	if (!buffer || length < 0)
		return -EINVAL;

	/*
	 * A message that cannot be delivered stays where it is, so it is taken
	 * out only after it was copied, and nobody may come in between.
	 */
	mutex_lock(&msgbox_mutex);
	message = list_first_entry_or_null(&msgbox, struct msgbox_message, list);
	if (!message) {
		result = -ENODATA;
	} else if (length < message->length) {
		result = -EMSGSIZE;
	} else if (copy_to_user(buffer, message->data, message->length)) {
		result = -EFAULT;
	} else {
		result = message->length;
		list_del(&message->list);
	}
	mutex_unlock(&msgbox_mutex);

	if (result >= 0)
		kvfree(message);
	return result;
}
