// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import ResultsModel

/// The parts that do not depend on the report: the page's style and its only script, which are files beside this one.
/// The page's policy has their digests, so that a browser runs no other script and loads nothing, even if markup of a
/// guest got into the page.
enum HTMLPage {
    /// page.css.
    static let style = HTMLText(file: .style)
    /// page.js.
    static let script = HTMLText(file: .script)

    /// Permits nothing except the style and the script.
    static let policy: HTMLText =
        "default-src 'none'; style-src 'sha256-\(digest(of: .style))'; script-src 'sha256-\(digest(of: .script))'; "
        + "base-uri 'none'; form-action 'none'"

    /// The head of a page.
    static func head(title: String) -> HTMLText {
        """
        <head>
        <meta charset="utf-8">
        <meta http-equiv="Content-Security-Policy" content="\(policy)">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="referrer" content="no-referrer">
        <title>\(title)</title>
        <style>\(style)</style>
        </head>
        """
    }

    /// The base64 SHA-256, as Content Security Policy Level 3 writes it.
    private static func digest(of file: PageFile) -> String {
        Data(Digest.of(file.text).bytes).base64EncodedString()
    }
}
