// SPDX-License-Identifier: Apache-2.0
#include "CGuestfs.h"

#include <dlfcn.h>
#include <stddef.h>

// The name by which programs load the library.
#define LIBRARY "libguestfs.so.0"

// Written once by kbuild_guestfs_load, in a process that has no other thread yet.
static void *library = NULL;

// clang-format off
#define CALLS(CALL) \
    CALL(create) CALL(close) CALL(set_error_handler) CALL(set_event_callback) CALL(last_error) CALL(version) \
    CALL(free_version) CALL(set_backend) CALL(set_backend_setting) CALL(set_cachedir) CALL(set_tmpdir) \
    CALL(set_trace) CALL(set_verbose) CALL(add_drive_opts_argv) CALL(launch) CALL(shutdown) CALL(exists) \
    CALL(mount) CALL(umount_all) CALL(mke2fs_argv) CALL(e2fsck_argv) CALL(tar_in_opts_argv)
// clang-format on

// The functions with the types of the library's header, so that the compiler checks each call.
#define FUNCTION(name) static __typeof__(guestfs_##name) *loaded_##name = NULL;
CALLS(FUNCTION)

const char *kbuild_guestfs_load(void) {
    if (library != NULL) {
        return NULL;
    }
    void *opened = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (opened == NULL) {
        return dlerror();
    }
#define LOOK_UP(name)                                                     \
    loaded_##name = (__typeof__(loaded_##name))dlsym(opened, "guestfs_" #name); \
    if (loaded_##name == NULL) {                                          \
        return LIBRARY " has no guestfs_" #name;                      \
    }
    CALLS(LOOK_UP)
    library = opened;
    return NULL;
}

guestfs_h *kbuild_guestfs_create(void) { return loaded_create(); }

void kbuild_guestfs_close(guestfs_h *handle) { loaded_close(handle); }

void kbuild_guestfs_set_error_handler(guestfs_h *handle, guestfs_error_handler_cb callback, void *opaque) {
    loaded_set_error_handler(handle, callback, opaque);
}

int kbuild_guestfs_set_event_callback(
    guestfs_h *handle, guestfs_event_callback callback, uint64_t events, int flags, void *opaque) {
    return loaded_set_event_callback(handle, callback, events, flags, opaque);
}

const char *kbuild_guestfs_last_error(guestfs_h *handle) { return loaded_last_error(handle); }

struct guestfs_version *kbuild_guestfs_version(guestfs_h *handle) { return loaded_version(handle); }

void kbuild_guestfs_free_version(struct guestfs_version *version) { loaded_free_version(version); }

int kbuild_guestfs_set_backend(guestfs_h *handle, const char *backend) {
    return loaded_set_backend(handle, backend);
}

int kbuild_guestfs_set_backend_setting(guestfs_h *handle, const char *name, const char *value) {
    return loaded_set_backend_setting(handle, name, value);
}

int kbuild_guestfs_set_cachedir(guestfs_h *handle, const char *folder) {
    return loaded_set_cachedir(handle, folder);
}

int kbuild_guestfs_set_tmpdir(guestfs_h *handle, const char *folder) {
    return loaded_set_tmpdir(handle, folder);
}

int kbuild_guestfs_set_trace(guestfs_h *handle, int trace) { return loaded_set_trace(handle, trace); }

int kbuild_guestfs_set_verbose(guestfs_h *handle, int verbose) { return loaded_set_verbose(handle, verbose); }

int kbuild_guestfs_add_drive_opts_argv(
    guestfs_h *handle, const char *file, const struct guestfs_add_drive_opts_argv *options) {
    return loaded_add_drive_opts_argv(handle, file, options);
}

int kbuild_guestfs_launch(guestfs_h *handle) { return loaded_launch(handle); }

int kbuild_guestfs_shutdown(guestfs_h *handle) { return loaded_shutdown(handle); }

int kbuild_guestfs_exists(guestfs_h *handle, const char *path) { return loaded_exists(handle, path); }

int kbuild_guestfs_mount(guestfs_h *handle, const char *device, const char *folder) {
    return loaded_mount(handle, device, folder);
}

int kbuild_guestfs_umount_all(guestfs_h *handle) { return loaded_umount_all(handle); }

int kbuild_guestfs_mke2fs_argv(
    guestfs_h *handle, const char *device, const struct guestfs_mke2fs_argv *options) {
    return loaded_mke2fs_argv(handle, device, options);
}

int kbuild_guestfs_e2fsck_argv(
    guestfs_h *handle, const char *device, const struct guestfs_e2fsck_argv *options) {
    return loaded_e2fsck_argv(handle, device, options);
}

int kbuild_guestfs_tar_in_opts_argv(
    guestfs_h *handle, const char *file, const char *folder, const struct guestfs_tar_in_opts_argv *options) {
    return loaded_tar_in_opts_argv(handle, file, folder, options);
}
