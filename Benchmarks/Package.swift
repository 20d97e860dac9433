// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

// The benchmarks of kbuild: a package of its own, so that building kbuild builds none of it, and with no dependency, so
// that it is built in seconds. It knows kbuild by its command line and its JSON report alone.
let package = Package(
    name: "bench",
    targets: [
        // Linux calls that Swift's Glibc module lacks.
        .target(name: "CProcess"),
        // Processes with their time and memory, statistics, and the table: all that can be tested without a kernel.
        .target(name: "Measurement", dependencies: ["CProcess"]),
        .executableTarget(name: "bench", dependencies: ["Measurement"]),
        .testTarget(name: "MeasurementTests", dependencies: ["Measurement"]),
    ],
    swiftLanguageModes: [.v6]
)
