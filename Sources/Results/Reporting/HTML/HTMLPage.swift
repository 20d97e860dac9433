// SPDX-License-Identifier: Apache-2.0
import ResultsModel

/// What does not depend on the report: the page's style and its one script. The page names them by their digests in its
/// policy, so that a browser runs no other script and loads nothing, even if markup of a guest's got into the page.
enum HTMLPage {
    /// The base64 SHA-256 of `style`, as Content Security Policy Level 3 writes it. A test says what it must be.
    static let styleDigest = "fM/0mBoU+ysPU3SAldONjJ2o9Jc4QKR9z8YYpxOCmeg="
    /// The base64 SHA-256 of `script`.
    static let scriptDigest = "JAygX6bEeeX4Y0ipDgae4FGZROGGs2xWaryPpprHCDo="

    /// Nothing from anywhere, but the style and the script below.
    static let policy: HTMLText =
        "default-src 'none'; style-src 'sha256-\(styleDigest)'; script-src 'sha256-\(scriptDigest)'; "
        + "base-uri 'none'; form-action 'none'"

    /// Colours are of two sets, for light and dark; the status colours have a contrast of 4.5 to 1 and more on both.
    static let style: HTMLText = """
        :root { color-scheme: light dark; --page: #f6f7f9; --card: #fff; --text: #1c2128; --soft: #59636e;
          --line: #d5dae0; --code: #f1f3f5; --good: #1a7f37; --bad: #c62828; --warn: #8a5a00; --link: #0757b8;
          --mark: #ffe08a; --now: #ff9a3c; }
        @media (prefers-color-scheme: dark) { :root { --page: #14171b; --card: #1c2127; --text: #dfe4ea;
          --soft: #9aa5b1; --line: #343c46; --code: #12151a; --good: #57c271; --bad: #ff7b72; --warn: #e3b341;
          --link: #7ab5ff; --mark: #6b5300; --now: #a14f00; } }
        * { box-sizing: border-box; }
        html { -webkit-text-size-adjust: 100%; }
        body { margin: 0 auto; padding: 1rem; max-width: 76rem; background: var(--page); color: var(--text);
          font: 15px/1.5 system-ui, sans-serif; }
        a { color: var(--link); }
        h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }
        h2 { font-size: 1.15rem; margin: 2rem 0 .6rem; }
        h3 { font-size: 1rem; margin: 0 0 .4rem; overflow-wrap: anywhere; }
        h4 { font-size: .8rem; margin: .8rem 0 .3rem; color: var(--soft); font-weight: 600; }
        p { margin: .2rem 0; overflow-wrap: anywhere; }
        ul { margin: .3rem 0; padding-left: 1.2rem; }
        header, article, .card { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
          padding: 1rem; }
        header { border-left: 8px solid var(--bad); }
        header.good { border-left-color: var(--good); }
        article { margin: 0 0 1rem; border-left: 4px solid var(--bad); }
        article.mild { border-left-color: var(--warn); }
        nav { margin: .6rem 0 0; display: flex; flex-wrap: wrap; gap: .25rem 1rem; }
        pre, code { font: 12.5px/1.45 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
        code { overflow-wrap: anywhere; }
        pre { margin: 0; padding: .6rem; background: var(--code); border: 1px solid var(--line);
          border-radius: 6px; overflow: auto; max-height: 28rem; white-space: pre; }
        pre.wrap { white-space: pre-wrap; overflow-wrap: anywhere; }
        .soft { color: var(--soft); }
        .badge { display: inline-block; padding: 0 .5em; border-radius: 4px; font-size: .8rem; font-weight: 600;
          border: 1px solid currentColor; white-space: nowrap; color: var(--bad); }
        .badge.passed { color: var(--good); }
        .badge.skipped, .badge.mild { color: var(--warn); }
        .pair { display: grid; gap: 0 1rem; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); }
        .pair > .only { grid-column: 1 / -1; }
        .trace { margin: 0; padding: .6rem .6rem .6rem 2.4rem; background: var(--code);
          border: 1px solid var(--line); border-radius: 6px; overflow: auto; max-height: 28rem; }
        .trace li { margin: 0 0 .25rem; }
        .trace .doubtful { opacity: .65; }
        table { border-collapse: collapse; width: 100%; }
        td, th { text-align: left; padding: .3rem .6rem .3rem 0; border-top: 1px solid var(--line);
          vertical-align: top; overflow-wrap: anywhere; }
        tbody:first-of-type tr:first-child > * { border-top: 0; }
        td.status { width: 6.5rem; }
        td.time { width: 9rem; text-align: right; padding-right: 0; white-space: nowrap;
          font-variant-numeric: tabular-nums; }
        th.key { width: 11rem; font-weight: 600; }
        details > summary { cursor: pointer; color: var(--soft); }
        details > pre { margin-top: .4rem; }
        section > details { margin: .5rem 0; }
        svg { display: block; width: 100%; overflow: visible; }
        svg text { font-size: 13px; fill: var(--text); }
        svg .soft { fill: var(--soft); font-size: 12px; }
        svg .grid { stroke: var(--line); }
        svg .track { fill: var(--code); }
        svg .made { fill: var(--link); }
        svg .hit, svg .passed { fill: var(--good); }
        svg .failed { fill: var(--bad); }
        svg .skipped { fill: var(--warn); }
        .share { height: 10px; margin: .6rem 0; border-radius: 5px; }
        .bar { height: 4px; margin-top: 2px; }
        .filters { margin: 0 0 .6rem; }
        .filters label { margin-right: 1rem; }
        .card > input { position: absolute; opacity: 0; }
        .card > input + label { display: inline-block; padding: .15rem .7rem; margin: 0 .3rem .7rem 0;
          border: 1px solid var(--line); border-radius: 1rem; cursor: pointer; }
        .card > input:checked + label { border-color: var(--link); color: var(--link); font-weight: 600; }
        .card > input:focus-visible + label { outline: 2px solid var(--link); }
        #show-failed:checked ~ table tr.test:not(.failing) { display: none; }
        #show-skipped:checked ~ table tr.test:not(.skipped) { display: none; }
        #search { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; margin: 0 0 .6rem; }
        #search[hidden] { display: none; }
        #search input { flex: 1 1 12rem; min-width: 0; font: inherit; padding: .3rem .5rem; color: inherit;
          background: var(--card); border: 1px solid var(--line); border-radius: 6px; }
        #search button { font: inherit; padding: .3rem .8rem; color: inherit; background: var(--card);
          border: 1px solid var(--line); border-radius: 6px; cursor: pointer; }
        #console { overflow: auto; max-height: 75vh; background: var(--code); border: 1px solid var(--line);
          border-radius: 6px; padding: .6rem; }
        #console pre { border: 0; border-radius: 0; padding: 0; max-height: none; overflow: visible;
          white-space: pre-wrap; overflow-wrap: anywhere; }
        #console pre.crash { margin-left: -9px; padding-left: 5px; border-left: 4px solid var(--bad); }
        #console pre.crash.mild { border-left-color: var(--warn); }
        ::highlight(found) { background: var(--mark); }
        ::highlight(current) { background: var(--now); }
        @media (max-width: 48rem) {
          body { padding: .5rem; }
          header, article, .card { padding: .7rem; }
          .pair { grid-template-columns: minmax(0, 1fr); }
          tr.test { display: grid; grid-template-columns: 1fr auto; border-top: 1px solid var(--line); }
          tr.test td { border-top: 0; width: auto; }
          tr.test td:nth-child(2) { grid-column: 1 / -1; grid-row: 2; padding-top: 0; }
          th.key { width: 7.5rem; }
          pre, .trace { max-height: 20rem; }
        }
        @media print {
          body { max-width: none; }
          pre, .trace, #console { max-height: none; overflow: visible; white-space: pre-wrap; }
          nav, #search { display: none; }
        }
        """

    /// Finds text in the console. It reads the page's text and marks ranges of it; it makes no markup.
    static let script: HTMLText = """
        "use strict";
        (() => {
          const box = document.getElementById("console"), form = document.getElementById("search");
          if (!box || !form || !window.CSS || !CSS.highlights) return;
          const [field, count] = [form.querySelector("input"), form.querySelector("output")];
          const most = 5000;
          let texts = null, hits = [], at = 0;
          // Only ASCII letters, so that places in the folded text are places in the text.
          const fold = text => text.replace(/[A-Z]+/g, letters => letters.toLowerCase());
          const range = hit => {
            const range = new Range();
            range.setStart(hit.node, hit.start);
            range.setEnd(hit.node, hit.start + hit.length);
            return range;
          };
          const find = () => {
            const wanted = fold(field.value);
            hits = [];
            at = 0;
            texts ??= [...box.querySelectorAll("pre")].map(part => part.firstChild).filter(node => node)
              .map(node => ({ node, text: fold(node.data) }));
            for (const { node, text } of wanted ? texts : []) {
              let start = text.indexOf(wanted);
              for (; start >= 0 && hits.length < most; start = text.indexOf(wanted, start + wanted.length))
                hits.push({ node, start, length: wanted.length });
            }
            CSS.highlights.set("found", new Highlight(...hits.map(range)));
            show();
          };
          const show = () => {
            CSS.highlights.delete("current");
            count.textContent = !field.value ? "" : !hits.length ? "none"
              : `${at + 1} of ${hits.length}${hits.length < most ? "" : " and more"}`;
            if (!hits.length) return;
            const found = range(hits[at]), current = new Highlight(found);
            current.priority = 1;
            CSS.highlights.set("current", current);
            const place = found.getBoundingClientRect(), frame = box.getBoundingClientRect();
            box.scrollTop += place.top - frame.top - box.clientHeight / 2;
          };
          const step = by => {
            if (hits.length) at = (at + by + hits.length) % hits.length;
            show();
          };
          let pause = 0;
          field.addEventListener("input", () => { clearTimeout(pause); pause = setTimeout(find, 150); });
          form.addEventListener("submit", event => { event.preventDefault(); step(1); });
          form.querySelector("button[type=button]").addEventListener("click", () => step(-1));
          form.hidden = false;
        })();
        """
}
