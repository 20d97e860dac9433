// SPDX-License-Identifier: Apache-2.0

// The JSON form leaves out what says nothing: a count of 1, an empty list of notes. A reader puts the same value in its
// place.

extension KeyedEncodingContainer {
    /// Writes a value, unless it is the one that a missing key stands for.
    mutating func encode<Value: Encodable & Equatable>(
        _ value: Value, forKey key: Key, unless missing: Value
    ) throws {
        if value != missing { try encode(value, forKey: key) }
    }
}

extension KeyedDecodingContainer {
    /// Reads a value, or takes the one that a missing key stands for.
    func decode<Value: Decodable>(_ key: Key, whenMissing missing: Value) throws -> Value {
        try decodeIfPresent(Value.self, forKey: key) ?? missing
    }
}
