// SPDX-License-Identifier: Apache-2.0
import ResultsModel

extension StackFrame {
    /// The function without the compiler's suffixes, which name copies of one function; for Rust and C++ its path in
    /// the source.
    public var function: String { functionName(symbol) }
}
