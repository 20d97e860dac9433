// SPDX-License-Identifier: Apache-2.0

/// kbuild's version.
public let kbuildVersion = "0.1.0"
