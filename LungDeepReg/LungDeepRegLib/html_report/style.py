"""How the report looks: calm on a screen, whole on A4, readable on a phone and in black and white."""

STYLE = """
:root { --ink: #1b1f23; --faint: #59636e; --line: #d5dae0; --paper: #ffffff; --shade: #f4f6f8; }
* { box-sizing: border-box; }
html { color-scheme: light; -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 1.5rem 1.25rem 3rem; max-width: 64rem; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { margin: .75rem 0 .25rem; font-size: 1.75rem; line-height: 1.2; font-weight: 650; }
h2 { margin: 2.25rem 0 .75rem; font-size: 1.2rem; line-height: 1.3; font-weight: 650; }
p { margin: .5rem 0; }
ul { margin: .5rem 0; padding-left: 1.25rem; }
.notice { margin: 0; padding: .5rem .75rem; border: 2px solid var(--ink); font-weight: 650; text-align: center; }
.images { font-size: 1.05rem; overflow-wrap: anywhere; }
.note, .missing, figcaption, footer { color: var(--faint); }
.note, figcaption { font-size: .9rem; }
.missing { font-style: italic; }
footer { margin-top: 3rem; padding-top: .75rem; border-top: 1px solid var(--line); font-size: .85rem; }

.verdict { margin: .25rem 0 .75rem; font-size: 1.4rem; font-weight: 650; }
.light { display: inline-flex; align-items: center; gap: .45em; white-space: nowrap; }
.light svg { width: 1.05em; height: 1.05em; flex: none; fill: currentColor; }
.verdict .light { white-space: normal; }
.light .mark { fill: none; stroke: #fff; stroke-width: 1.8; stroke-linecap: round; stroke-linejoin: round; }
.light .hollow { fill: none; stroke: currentColor; stroke-width: 2; stroke-dasharray: 3 2; }
.light.green { color: #1a7037; } .light.yellow { color: #8a5a00; } .light.red { color: #b3261e; }
.light.grey { color: var(--faint); }
#warnings { padding: .25rem 1rem .5rem; border-left: 4px solid var(--ink); background: var(--shade); }
#warnings h2 { margin-top: .5rem; font-size: 1.05rem; }

.scroll { overflow-x: auto; margin: .75rem 0 1.25rem; }
table { border-collapse: collapse; min-width: min(100%, 36rem); font-size: .92rem;
  font-variant-numeric: tabular-nums; }
caption { padding: .25rem 0; text-align: left; font-weight: 650; }
th, td { padding: .35rem 1.25rem .35rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
thead th { border-bottom: 2px solid var(--ink); font-weight: 650; vertical-align: bottom; }
tbody th { font-weight: 400; }
td:last-child, th:last-child { padding-right: 0; }
td { overflow-wrap: break-word; }
data { white-space: nowrap; }
th[scope="rowgroup"] { padding-top: .9rem; font-weight: 650; }
.wide table { font-size: .82rem; }
.wide th, .wide td { padding-right: .6rem; }
.wide tbody th { white-space: nowrap; max-width: 14rem; overflow: hidden; text-overflow: ellipsis; }
th[scope="colgroup"] { border-bottom: 0; padding-bottom: 0; }
.wide thead tr + tr th { padding-top: 0; font-weight: 400; }
.checks table { width: 100%; }
.checks tbody th { font-weight: 650; }
.checks td:last-child { font-size: .85rem; color: var(--faint); }
dl { font-size: .9rem; }
dt { margin-top: .6rem; font-weight: 650; }
dd { margin: 0; }

figure { margin: 0 0 1.75rem; break-inside: avoid; }
img { display: block; width: auto; height: auto; max-width: 100%; max-height: 92vh; background: #000; }
figcaption { margin-top: .4rem; }
figcaption strong { color: var(--ink); }

@media (max-width: 40rem) {
  body { padding: 1rem .75rem 2rem; }
  .checks thead { display: none; }
  .checks tr { display: block; padding: .6rem 0; border-bottom: 1px solid var(--line); }
  .checks th, .checks td { display: block; padding: .1rem 0; border: 0; }
}
@page { size: A4; margin: 16mm 15mm 20mm;
  @bottom-left { content: "Research software, not for clinical use."; font: 650 8pt sans-serif; }
  @bottom-right { content: counter(page) " / " counter(pages); font: 8pt sans-serif; } }
@media print {
  html { font-size: 9.5pt; }
  body { max-width: none; padding: 0; font-size: 1rem; line-height: 1.4; }
  h1 { font-size: 17pt; } h2 { margin-top: 7mm; font-size: 12pt; break-after: avoid; }
  .scroll { overflow: visible; }
  table { font-size: 8.5pt; }
  thead { display: table-header-group; }
  tr, caption, .verdict, #warnings, .groups tbody { break-inside: avoid; }
  caption, dt { break-after: avoid; }
  th, td { padding: 1mm 2mm 1mm 0; }
  .wide table { font-size: 7.5pt; }
  .wide th, .wide td { padding-right: 1.5mm; }
  img { max-height: 108mm; }
  .light, .notice, img { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
"""
