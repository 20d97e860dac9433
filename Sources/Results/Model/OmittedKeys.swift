// SPDX-License-Identifier: Apache-2.0

// The JSON form omits values without information: a count of 1, an empty list of notes. A reader restores the same
// value.

extension KeyedEncodingContainer {
    /// Writes a value, unless it is the value of a missing key.
    mutating func encode<Value: Encodable & Equatable>(
        _ value: Value, forKey key: Key, unless missing: Value
    ) throws {
        if value != missing { try encode(value, forKey: key) }
    }
}

extension KeyedDecodingContainer {
    /// Reads a value, or returns the value of a missing key.
    func decode<Value: Decodable>(_ key: Key, whenMissing missing: Value) throws -> Value {
        try decodeIfPresent(Value.self, forKey: key) ?? missing
    }
}
