// SPDX-License-Identifier: Apache-2.0
#ifndef KBUILD_CGUESTFS_H
#define KBUILD_CGUESTFS_H

#include <guestfs.h>

// The calls of libguestfs that kbuild uses, each under its name with kbuild_ before it. The library is not linked: it
// depends on 60 shared libraries, which each start of kbuild would load, and only the process that makes an image needs
// it.

// Loads the library, before any other call. Returns NULL, or the reason that it cannot be loaded.
const char *kbuild_guestfs_load(void);

guestfs_h *kbuild_guestfs_create(void);
void kbuild_guestfs_close(guestfs_h *handle);
void kbuild_guestfs_set_error_handler(guestfs_h *handle, guestfs_error_handler_cb callback, void *opaque);
int kbuild_guestfs_set_event_callback(
    guestfs_h *handle, guestfs_event_callback callback, uint64_t events, int flags, void *opaque);
const char *kbuild_guestfs_last_error(guestfs_h *handle);
struct guestfs_version *kbuild_guestfs_version(guestfs_h *handle);
void kbuild_guestfs_free_version(struct guestfs_version *version);
int kbuild_guestfs_set_backend(guestfs_h *handle, const char *backend);
int kbuild_guestfs_set_backend_setting(guestfs_h *handle, const char *name, const char *value);
int kbuild_guestfs_set_cachedir(guestfs_h *handle, const char *folder);
int kbuild_guestfs_set_tmpdir(guestfs_h *handle, const char *folder);
int kbuild_guestfs_set_trace(guestfs_h *handle, int trace);
int kbuild_guestfs_set_verbose(guestfs_h *handle, int verbose);
int kbuild_guestfs_add_drive_opts_argv(
    guestfs_h *handle, const char *file, const struct guestfs_add_drive_opts_argv *options);
int kbuild_guestfs_launch(guestfs_h *handle);
int kbuild_guestfs_shutdown(guestfs_h *handle);
int kbuild_guestfs_exists(guestfs_h *handle, const char *path);
int kbuild_guestfs_mount(guestfs_h *handle, const char *device, const char *folder);
int kbuild_guestfs_umount_all(guestfs_h *handle);
int kbuild_guestfs_mke2fs_argv(
    guestfs_h *handle, const char *device, const struct guestfs_mke2fs_argv *options);
int kbuild_guestfs_e2fsck_argv(
    guestfs_h *handle, const char *device, const struct guestfs_e2fsck_argv *options);
int kbuild_guestfs_tar_in_opts_argv(
    guestfs_h *handle, const char *file, const char *folder, const struct guestfs_tar_in_opts_argv *options);

// The library's masks are UINT64_C macros, which Swift's importer does not see. Here are those that kbuild uses, as
// constants of the same values.
static const uint64_t kbuild_guestfs_add_drive_format = GUESTFS_ADD_DRIVE_OPTS_FORMAT_BITMASK;
static const uint64_t kbuild_guestfs_add_drive_cachemode = GUESTFS_ADD_DRIVE_OPTS_CACHEMODE_BITMASK;
static const uint64_t kbuild_guestfs_mke2fs_blocksize = GUESTFS_MKE2FS_BLOCKSIZE_BITMASK;
static const uint64_t kbuild_guestfs_mke2fs_numberofinodes = GUESTFS_MKE2FS_NUMBEROFINODES_BITMASK;
static const uint64_t kbuild_guestfs_mke2fs_reserved = GUESTFS_MKE2FS_RESERVEDBLOCKSPERCENTAGE_BITMASK;
static const uint64_t kbuild_guestfs_mke2fs_label = GUESTFS_MKE2FS_LABEL_BITMASK;
static const uint64_t kbuild_guestfs_mke2fs_fstype = GUESTFS_MKE2FS_FSTYPE_BITMASK;
static const uint64_t kbuild_guestfs_mke2fs_uuid = GUESTFS_MKE2FS_UUID_BITMASK;
static const uint64_t kbuild_guestfs_mke2fs_lazyitableinit = GUESTFS_MKE2FS_LAZYITABLEINIT_BITMASK;
static const uint64_t kbuild_guestfs_mke2fs_hasjournal = GUESTFS_MKE2FS_HASJOURNAL_BITMASK;
static const uint64_t kbuild_guestfs_e2fsck_correct = GUESTFS_E2FSCK_CORRECT_BITMASK;

#endif
