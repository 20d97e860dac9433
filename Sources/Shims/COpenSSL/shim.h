// SPDX-License-Identifier: Apache-2.0
// SHA-256 of OpenSSL's libcrypto, which uses the processor's SHA instructions. The kernel's build needs libssl-dev too.
#ifndef KBUILD_COPENSSL_H
#define KBUILD_COPENSSL_H

#include <openssl/evp.h>

#endif
