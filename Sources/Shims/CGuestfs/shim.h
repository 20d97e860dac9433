// SPDX-License-Identifier: Apache-2.0
#ifndef KBUILD_CGUESTFS_H
#define KBUILD_CGUESTFS_H

#include <guestfs.h>

// The library's masks are UINT64_C macros, which Swift's importer does not see. Here are those that kbuild uses, as
// constants of the same values.
static const uint64_t kbuild_guestfs_add_drive_format = GUESTFS_ADD_DRIVE_OPTS_FORMAT_BITMASK;
static const uint64_t kbuild_guestfs_add_drive_cachemode = GUESTFS_ADD_DRIVE_OPTS_CACHEMODE_BITMASK;
static const uint64_t kbuild_guestfs_mke2fs_blocksize = GUESTFS_MKE2FS_BLOCKSIZE_BITMASK;
static const uint64_t kbuild_guestfs_mke2fs_numberofinodes = GUESTFS_MKE2FS_NUMBEROFINODES_BITMASK;
static const uint64_t kbuild_guestfs_mke2fs_reserved =
    GUESTFS_MKE2FS_RESERVEDBLOCKSPERCENTAGE_BITMASK;
static const uint64_t kbuild_guestfs_mke2fs_label = GUESTFS_MKE2FS_LABEL_BITMASK;
static const uint64_t kbuild_guestfs_mke2fs_fstype = GUESTFS_MKE2FS_FSTYPE_BITMASK;
static const uint64_t kbuild_guestfs_mke2fs_uuid = GUESTFS_MKE2FS_UUID_BITMASK;
static const uint64_t kbuild_guestfs_mke2fs_lazyitableinit = GUESTFS_MKE2FS_LAZYITABLEINIT_BITMASK;
static const uint64_t kbuild_guestfs_mke2fs_hasjournal = GUESTFS_MKE2FS_HASJOURNAL_BITMASK;
static const uint64_t kbuild_guestfs_e2fsck_correct = GUESTFS_E2FSCK_CORRECT_BITMASK;

#endif
