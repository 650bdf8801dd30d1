"""The style sheet of report pages: light and dark by the reader's preference, light on paper, nothing fetched."""

from __future__ import annotations

from simulations.report.palette import DARK, LIGHT, css_variables

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""Content security policy: a browser that obeys it can fetch nothing for this page, whatever a result file holds."""

_RULES = """
*{box-sizing:border-box}
html{font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif}
body{margin:0;color:var(--ink);background:var(--paper)}
main,header.top{max-width:1500px;margin:0 auto;padding:0 1.5rem}
header.top{padding-top:2.5rem}
h1{font-size:2.1rem;line-height:1.15;margin:0 0 .3rem;letter-spacing:-.01em}
h2{font-size:1.35rem;margin:3rem 0 .8rem}
p{margin:.4rem 0;max-width:75ch}
.soft,.count{color:var(--soft);fill:var(--soft)}
.kicker{color:var(--soft);margin:0 0 .2rem;font-size:.95rem}
.verdict{display:inline-block;margin:.8rem .6rem 0 0;padding:.25rem .8rem;border-radius:99px;
border:1.5px solid;font-weight:600}
.good{color:var(--good)}.bad{color:var(--bad)}
.warning{border-left:4px solid var(--bad);background:var(--panel);padding:.7rem 1rem;margin:1.2rem 0 0;max-width:none}
nav{margin-top:1.4rem;padding:.6rem 0;border-block:1px solid var(--line)}
nav a{margin-right:1.2rem;white-space:nowrap}
a{color:var(--ours);text-underline-offset:.15em}
:focus-visible{outline:3px solid var(--ours);outline-offset:2px;border-radius:3px}
.skip{position:absolute;left:-999rem}.skip:focus{left:1rem;top:1rem;background:var(--paper);padding:.5rem 1rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.95rem;min-width:min(100%,34rem)}
th,td{text-align:left;padding:.38rem 1.3rem .38rem 0;border-bottom:1px solid var(--grid);vertical-align:top}
thead th{color:var(--soft);font-weight:500;border-bottom-color:var(--line)}
tbody th{font-weight:500}
td.n,th.n{text-align:right}
td small{color:var(--soft);display:block;white-space:nowrap}
code{font:.88em ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
figure{margin:0}
figcaption{color:var(--soft);font-size:.93rem;margin:.3rem 0 0;max-width:75ch}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,640px),1fr));gap:1.4rem}
.plots figure{max-width:900px;border:1px solid var(--grid);border-radius:10px;padding:.6rem .6rem .9rem;min-width:0}
.plots figcaption{padding:0 .6rem}
svg{display:block;width:100%;height:auto}
.views>input{position:absolute;opacity:0}
.views>label{display:inline-block;padding:.2rem .9rem;margin:0 .4rem .4rem 0;border:1px solid var(--line);
border-radius:99px;cursor:pointer}
.views>input:checked+label{background:var(--ink);color:var(--paper);border-color:var(--ink)}
.views>input:focus-visible+label{outline:3px solid var(--ours);outline-offset:2px}
.pictures{display:grid;margin-top:.5rem;gap:1.2rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,340px),1fr))}
.pictures figure{border:1px solid var(--grid);border-radius:10px;padding:.8rem}
.pictures h3{margin:0 0 .2rem;font-size:1.05rem}
.network text{text-anchor:middle;font-size:250px;fill:var(--ink);
paint-order:stroke;stroke:var(--paper);stroke-width:90px;stroke-linejoin:round}
.network .count{display:none;fill:var(--soft)}
.network .side{font-size:270px;fill:var(--soft)}
.network .cut{stroke:var(--bad);stroke-width:26;stroke-dasharray:70 70;fill:none}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;margin:.5rem 0 0;padding:0;font-size:.93rem}
.dot{display:inline-block;width:.7em;height:.7em;margin-right:.45em;border-radius:50%;background:currentColor}
.dot.square{border-radius:0}.dot.ring{background:none;border:.18em solid}
footer{max-width:1500px;margin:3.5rem auto 0;padding:1rem 1.5rem 3rem;color:var(--soft);font-size:.9rem}
@media print{
main,header.top,footer{max-width:none;padding-inline:0}
nav,.views>input,.views>label,.skip{display:none}
.plots{display:block}
.plots figure,.pictures figure{display:block!important;break-inside:avoid;margin-bottom:1rem}
h2{break-after:avoid}
svg,.dot,.verdict{print-color-adjust:exact;-webkit-print-color-adjust:exact}
}
"""


def style_sheet(views: int = 0) -> str:
    """Return the style sheet.

    Args:
        views: pictures of the network among which the reader chooses; each gets a rule that shows it alone.
    """
    chosen = "".join(
        f"#view-{number}:checked~.pictures{{grid-template-columns:minmax(0,1100px)}}"
        f"#view-{number}:checked~.pictures .network text{{font-size:180px}}"
        f"#view-{number}:checked~.pictures .network .count{{display:inline}}"
        f"#view-{number}:checked~.pictures figure:not(:nth-child({number})){{display:none}}"
        for number in range(1, views + 1)
    )
    if views == 1:  # alone it is large, and its labels need not be
        chosen = ".pictures{grid-template-columns:minmax(0,1000px)}"
        chosen += ".pictures .network text{font-size:180px}.pictures .network .count{display:inline}"
    rules = _RULES.replace("\n", "")
    return (
        f":root{{color-scheme:light dark;{css_variables(LIGHT)}}}"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{css_variables(DARK)}}}}}"
        f"{rules}@media screen{{{chosen}}}"
    )
