"""The style sheet of a report, for screens of any width and for paper."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root{color-scheme:light;--ink:#1c2733;--soft:#5b6770;--line:#dfe4e9;--paper:#fff;--tint:#f6f8fa;
--good:#1d7a5f;--open:#8a6100;--bad:#b3372c;--blue:#1f3a5f}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--tint);color:var(--ink);
font:16px/1.55 "Source Sans 3","Source Sans Pro","Segoe UI",system-ui,"Helvetica Neue",Arial,sans-serif}
main,header.top,footer{max-width:62rem;margin:0 auto;padding:0 1.5rem}
header.top{padding-top:2.2rem}
header.top p{margin:0;color:var(--soft);overflow-wrap:anywhere}
h1,h2{font-family:Charter,"Bitstream Charter","Source Serif 4",Cambria,Georgia,serif;line-height:1.2;
color:var(--blue)}
h1{font-size:2rem;margin:.1rem 0 .2rem}
h2{font-size:1.32rem;margin:0 0 .8rem}
section{background:var(--paper);border:1px solid var(--line);border-radius:10px;padding:1.3rem 1.5rem;
margin:1.1rem 0}
.verdict{border-left:6px solid var(--open)}
.verdict.good{border-left-color:var(--good)}.verdict.bad{border-left-color:var(--bad)}
.status{display:inline-block;font-size:.78rem;font-weight:600;letter-spacing:.04em;text-transform:uppercase;
color:#fff;background:var(--open);border-radius:99px;padding:.1rem .7rem}
.good .status{background:var(--good)}.bad .status{background:var(--bad)}
.headline{font:600 1.65rem/1.25 Charter,"Bitstream Charter","Source Serif 4",Cambria,Georgia,serif;
margin:.5rem 0 .2rem}
.explanation{margin:0 0 1rem;color:var(--soft);overflow-wrap:anywhere}
.numbers{display:grid;grid-template-columns:repeat(auto-fill,minmax(11.5rem,1fr));gap:.9rem 1.4rem;margin:0}
.numbers div{border-top:2px solid var(--line);padding-top:.35rem}
.numbers dt{font-size:.82rem;color:var(--soft)}
.numbers dd{margin:0}
.numbers .value{font-size:1.3rem;font-weight:600;font-variant-numeric:tabular-nums}
.numbers .remark{display:block;font-size:.82rem;color:var(--soft)}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));gap:1.4rem}
.figures>.scroll{min-width:0}.figures+.scroll{margin-top:1.1rem}
.figures.single{grid-template-columns:minmax(0,44rem)}
figure{margin:0;min-width:0}
figure svg{display:block;width:100%;height:auto}
figure svg *{stroke-linejoin:round;stroke-linecap:butt}
figure svg text{font-family:"Source Sans 3","Source Sans Pro","Segoe UI",system-ui,"Helvetica Neue",Arial,
sans-serif!important}
figure svg image{image-rendering:pixelated}
figcaption{font-size:.86rem;color:var(--soft);margin-top:.35rem}
p.note{font-size:.9rem;color:var(--soft)}
.scroll{overflow-x:auto;margin:0 0 1.1rem}
.scroll:last-child{margin-bottom:0}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
caption{text-align:left;font-weight:600;padding:.1rem 0 .35rem}
th,td{text-align:left;vertical-align:top;padding:.26rem 1.3rem .26rem 0;border-top:1px solid var(--line)}
th.number,td.number{text-align:right}td.number{white-space:nowrap}
table.facts{width:100%}
table.facts th{font-weight:400;color:var(--soft);width:15rem}
table.facts td{overflow-wrap:anywhere}
thead th{font-weight:600;border-top:0;vertical-align:bottom;line-height:1.25}
table.records{font-size:.86rem}table.records th,table.records td{padding-right:.9rem}
table.records :is(th,td):last-child{padding-right:0}
tbody th{font-weight:400}
details{margin-top:.4rem}
summary{cursor:pointer;color:var(--blue);font-size:.92rem}
pre{font:12.5px/1.5 ui-monospace,"SF Mono",Menlo,Consolas,"Liberation Mono",monospace;background:var(--tint);
border:1px solid var(--line);border-radius:8px;padding:.8rem 1rem;overflow-x:auto}
footer{padding-bottom:2.5rem;font-size:.85rem;color:var(--soft)}
@media (max-width:640px){main,header.top,footer{padding-left:.8rem;padding-right:.8rem}
section{padding:1rem .95rem;border-radius:8px}h1{font-size:1.55rem}.headline{font-size:1.3rem}
.numbers{grid-template-columns:repeat(2,minmax(0,1fr))}table.facts th{width:8.5rem}
th,td{padding-right:.8rem}}
@page{size:A4;margin:16mm 15mm}
@media print{body{background:#fff;font-size:10.2pt}main,header.top,footer{max-width:none;padding:0}
section{border:0;border-radius:0;padding:0;margin:0 0 7mm}
section.verdict{border-left:3mm solid var(--open);padding-left:4mm}
section.verdict.good{border-left-color:var(--good)}section.verdict.bad{border-left-color:var(--bad)}
figure,tr,.numbers div,.verdict{break-inside:avoid}h2,caption{break-after:avoid}
.figures{grid-template-columns:1fr 1fr}.figures.single{grid-template-columns:minmax(0,150mm)}
.figures.beside{display:block}.figures.beside figure{max-width:110mm;margin-bottom:4mm}
.status{-webkit-print-color-adjust:exact;print-color-adjust:exact}
.scroll{overflow:visible}table{font-size:8.6pt}pre{white-space:pre-wrap;font-size:7.5pt;columns:2}
td,tbody th{overflow-wrap:anywhere}
details::details-content{content-visibility:visible;block-size:auto}
summary{list-style:none}}
"""
