// SPDX-License-Identifier: GPL-2.0
/*
 * caesar: rotates the letters of a string.
 */
#include <linux/ctype.h>
#include <linux/errno.h>
#include <linux/err.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/syscalls.h>
#include <linux/uaccess.h>

/* The longest string, without its final NUL. */
#define CAESAR_MAX_LENGTH	4095

enum { CAESAR_ENCRYPT = 0, CAESAR_DECRYPT = 1 };

static char caesar_rotate(char c, int shift)
{
	char first;

	if (c >= 'a' && c <= 'z')
		first = 'a';
	else if (c >= 'A' && c <= 'Z')
		first = 'A';
	else
		return c;
	return first + (c - first + shift) % 26;
}

SYSCALL_DEFINE4(caesar, const char __user *, in, char __user *, out, int, op,
		int, rot)
{
	char *text;
	long length;
	long i;
	int shift;
	long result = 0;

	if (op != CAESAR_ENCRYPT && op != CAESAR_DECRYPT)
		return -EINVAL;

	/* C's remainder has the sign of its left side; 0 to 25 is wanted. */
	shift = rot % 26;
	if (op == CAESAR_DECRYPT)
		shift = -shift;
	if (shift < 0)
		shift += 26;

	text = kmalloc(CAESAR_MAX_LENGTH + 1, GFP_KERNEL);
	if (!text)
		return -ENOMEM;
	length = strncpy_from_user(text, in, CAESAR_MAX_LENGTH + 1);
	if (length < 0) {
		result = length;
		goto out;
	}
	if (length > CAESAR_MAX_LENGTH) {
		result = -E2BIG;
		goto out;
	}
	for (i = 0; i < length; i++)
		text[i] = caesar_rotate(text[i], shift);
	if (copy_to_user(out, text, length + 1))
		result = -EFAULT;
out:
	kfree(text);
	return result;
}
