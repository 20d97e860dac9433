#!/usr/bin/env python3
"""Makes a picture of what a terminal shows: render.py OUTPUT COLUMNS TITLE=CAPTURE...

CAPTURE is a file with what `tmux capture-pane -e -p` printed; each becomes a pane below its title. The picture is one SVG
that loads nothing. It is light or dark as the reader's browser asks for.
"""
import re
import sys
from html import escape

# A character's size, and the space around panes and within them.
WIDTH, HEIGHT, MARGIN, HEAD = 8.4, 19, 16, 30
STYLE = """
  .ground{fill:#fff;stroke:#d0d7de}.head{fill:#f6f8fa}.line{stroke:#d0d7de}text{fill:#1f2328}
  .title{fill:#59636e;font-family:system-ui,sans-serif;font-size:13px}
  .c31{fill:#c21c26}.c32{fill:#14702e}.c33{fill:#8a5a00}.bold{font-weight:bold}.dim{opacity:.65}
  @media(prefers-color-scheme:dark){
    .ground{fill:#0d1117;stroke:#3d444d}.head{fill:#161b22}.line{stroke:#3d444d}text{fill:#e6edf3}.title{fill:#9198a1}
    .c31{fill:#ff7b72}.c32{fill:#56d364}.c33{fill:#e3b341}
  }
"""


def runs(line):
    """The parts of a line: column, text, classes."""
    colour, bold, dim, column = None, False, False, 0
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        if not part.startswith("\x1b"):
            # Blanks are not drawn, and a renderer may fold them.
            for word in re.finditer(r"\S+(?: \S+)*", part):
                classes = [f"c{colour}"] * bool(colour) + ["bold"] * bold + ["dim"] * dim
                yield column + word.start(), word.group(), " ".join(classes)
            column += len(part)
            continue
        for code in (int(code or 0) for code in part[2:-1].split(";")):
            if code == 0:
                colour, bold, dim = None, False, False
            elif code == 1:
                bold = True
            elif code == 2:
                dim = True
            elif 31 <= code <= 33:
                colour = code
            elif code == 39:
                colour = None


def main(output, columns, *panes):
    width = int(columns) * WIDTH + 2 * MARGIN
    body, top = [], 0.5
    for pane in panes:
        title, path = pane.split("=", 1)
        with open(path, encoding="utf-8") as file:
            lines = file.read().rstrip("\n ").split("\n")
        height = HEAD + len(lines) * HEIGHT + MARGIN
        body.append(f'<rect class="ground" x=".5" y="{top}" width="{width - 1:g}" height="{height}" rx="6"/>')
        body.append(f'<path class="head" d="M1 {top + HEAD}v-24a5.5 5.5 0 0 1 5.5-5.5h{width - 13:g}a5.5 5.5 0 0 1 5.5 5.5v24z"/>')
        body.append(f'<path class="line" d="M.5 {top + HEAD}h{width - 1:g}"/>')
        body.append(f'<text class="title" x="{MARGIN}" y="{top + 20}">{escape(title)}</text>')
        for row, line in enumerate(lines):
            y = top + HEAD + (row + 1) * HEIGHT + 3
            for column, text, classes in runs(line):
                # The length is given, so that columns are aligned in any font.
                body.append(
                    f'<text x="{MARGIN + column * WIDTH:g}" y="{y:g}" textLength="{len(text) * WIDTH:g}"'
                    + (f' class="{classes}"' if classes else "") + f">{escape(text)}</text>"
                )
        top += height + MARGIN
    total = top - MARGIN + 0.5
    with open(output, "w", encoding="utf-8") as file:
        file.write(
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {total:g}" width="{width:g}" height="{total:g}"'
            ' font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,&quot;DejaVu Sans Mono&quot;,monospace" font-size="14">\n'
            f"<style>{STYLE}</style>\n" + "\n".join(body) + "\n</svg>\n"
        )


main(*sys.argv[1:])
