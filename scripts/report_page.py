# SPDX-License-Identifier: BSD-2-Clause
"""Style and script of the report's page. No font, image or script comes from elsewhere."""

# Colours meet WCAG AA against their background in both schemes.
CSS = """
:root{--paper:#fff;--card:#fff;--ink:#17181c;--quiet:#5a5d66;--rule:#dfe1e5;--soft:#f5f6f8;--link:#00559a;--blue:#0072b2;
--reproduced:#00664a;--trend-only:#00559a;--not-reproduced:#a13e00;--not-applicable-here:#5a5d66;--paper-inconsistent:#8a2f66;
--t-reproduced:#dff3ea;--t-trend-only:#e1eefb;--t-not-reproduced:#fdebdd;--t-not-applicable-here:#eceef1;--t-paper-inconsistent:#f8e6f0;
--b-reproduced:#1d9a74;--b-trend-only:#4a90d0;--b-not-reproduced:#dd7a35;--b-not-applicable-here:#c3c7ce;--b-paper-inconsistent:#b9639a}
@media (prefers-color-scheme:dark){:root{--paper:#131418;--card:#1a1b20;--ink:#ebecf0;--quiet:#a5a8b3;
--rule:#33353d;--soft:#1e2026;--link:#7cc0ff;--blue:#3d9be0;
--reproduced:#5fd6ad;--trend-only:#8cc6ff;--not-reproduced:#ffae76;--not-applicable-here:#a5a8b3;--paper-inconsistent:#f0a3cb;
--t-reproduced:#13352b;--t-trend-only:#16304a;--t-not-reproduced:#42270f;--t-not-applicable-here:#2a2c33;--t-paper-inconsistent:#40203a;
--b-reproduced:#2f9f7c;--b-trend-only:#3f86c6;--b-not-reproduced:#c9702f;--b-not-applicable-here:#565a64;--b-paper-inconsistent:#a6578b}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-padding-top:1rem}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,"Segoe UI",Roboto,Helvetica,Arial,sans-serif;
font-variant-numeric:tabular-nums}
.sheet{max-width:76rem;margin:0 auto;padding:0 1.25rem 5rem}
main{min-width:0;overflow-wrap:anywhere}
nav{display:none}
h1{font-size:clamp(1.75rem,1.2rem + 2.2vw,2.6rem);line-height:1.1;letter-spacing:-.02em;font-weight:700;margin:2.5rem 0 .5rem;
text-wrap:balance}
h2{font-size:1.375rem;line-height:1.25;letter-spacing:-.01em;margin:3.5rem 0 .35rem;padding-top:1.25rem;border-top:2px solid var(--ink);
text-wrap:balance}
h3{font-size:1rem;margin:2rem 0 .4rem}
p{max-width:46rem}
.lead{font-size:1.0625rem;color:var(--quiet);margin:.25rem 0 1.5rem}
.meta{display:flex;flex-wrap:wrap;gap:.25rem 1.5rem;margin:0 0 1.5rem;padding:0;list-style:none;font-size:.875rem;color:var(--quiet)}
.meta b{color:var(--ink);font-weight:600}
.quiet,figcaption,.caption,small{color:var(--quiet)}
a{color:var(--link);text-underline-offset:.15em}
.scroll{overflow-x:auto;max-width:100%}
:focus-visible{outline:2px solid var(--link);outline-offset:2px}
table{border-collapse:collapse;width:100%;font-size:.875rem;line-height:1.45;overflow-wrap:normal}
.caption{margin:.5rem 0;font-size:.8125rem}
th,td{padding:.5rem 1rem .5rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--rule)}
th:last-child,td:last-child{padding-right:0}
th{font-weight:600;color:var(--quiet);font-size:.75rem;letter-spacing:.02em;white-space:nowrap;vertical-align:bottom}
thead th{border-bottom:1px solid var(--quiet)}
.n{text-align:right;white-space:nowrap}
.scroll td:first-child{white-space:nowrap;font-weight:600}
.scroll td:last-child{min-width:9rem}
.chip{display:inline-block;font-size:.75rem;font-weight:600;line-height:1.3;white-space:nowrap;border-radius:1rem;padding:.16rem .6rem}
.reproduced{color:var(--reproduced);background:var(--t-reproduced)}
.trend-only{color:var(--trend-only);background:var(--t-trend-only)}
.not-reproduced{color:var(--not-reproduced);background:var(--t-not-reproduced)}
.not-applicable-here{color:var(--not-applicable-here);background:var(--t-not-applicable-here)}
.paper-inconsistent{color:var(--paper-inconsistent);background:var(--t-paper-inconsistent)}
.bar{display:flex;gap:2px;height:.875rem;margin:.5rem 0 .9rem;border-radius:.25rem;overflow:hidden}
.bar i{display:block;min-width:3px}
.bar .reproduced{background:var(--b-reproduced)}.bar .trend-only{background:var(--b-trend-only)}
.bar .not-reproduced{background:var(--b-not-reproduced)}.bar .not-applicable-here{background:var(--b-not-applicable-here)}
.bar .paper-inconsistent{background:var(--b-paper-inconsistent)}
.tally{display:grid;grid-template-columns:repeat(5,1fr);gap:1rem 1.5rem;margin:0 0 1rem;padding:0;list-style:none}
.tally b{display:block;font-size:1.75rem;line-height:1.1;font-weight:700;letter-spacing:-.02em}
.tally span.chip{margin:.2rem 0 .25rem}.tally small{display:block;font-size:.8125rem;line-height:1.35}
.claims td{vertical-align:middle;padding-top:.4rem;padding-bottom:.4rem}
.claims .what{font-weight:600}.claims .what small{font-weight:400;white-space:nowrap}
.claims .measured{white-space:nowrap}
.claims .num{white-space:nowrap}
.forest{display:block;width:13rem;height:1.5rem}
.forest text{font-size:11px;font-weight:400;fill:var(--quiet)}th .forest{height:.9rem}
.forest .axis{stroke:var(--rule);stroke-width:1}.forest .one{stroke:var(--quiet);stroke-width:1;stroke-dasharray:2 2}
.forest .pub{fill:var(--paper);stroke:var(--ink);stroke-width:1.4}.forest .ci{stroke:var(--blue);stroke-width:2}.forest .our{fill:var(--blue)}
.key{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;font-size:.8125rem;color:var(--quiet);margin:.5rem 0 0;align-items:center}
.key svg.forest{display:inline-block;width:1.5rem;height:.75rem;vertical-align:-.05rem;margin-right:.3rem}
figure{margin:1.5rem 0 2rem}
.plot{background:var(--card);border:1px solid var(--rule);border-radius:8px;padding:1rem}
.plot svg{display:block;height:auto;max-width:100%;margin:0 auto}
figcaption{font-size:.8125rem;line-height:1.5;margin-top:.6rem;max-width:52rem}
figcaption a{white-space:nowrap}
.filters[hidden]{display:none}
.filters{display:flex;flex-wrap:wrap;gap:.5rem;margin:.9rem 0}
button,.search{font:inherit;font-size:.8125rem;color:var(--ink);background:var(--paper);border:1px solid var(--rule);
border-radius:1.25rem;padding:.3rem .85rem;min-height:2.25rem}
button{cursor:pointer}button:hover{border-color:var(--quiet)}
button b{font-weight:600;color:var(--quiet);margin-left:.15rem}
button[aria-pressed=true]{background:var(--ink);color:var(--paper);border-color:var(--ink)}
button[aria-pressed=true] b{color:inherit}
.search{flex:1 1 12rem;max-width:22rem}
.shown{margin:.25rem 0;font-size:.8125rem;min-height:1.3em}
.group{border-bottom:1px solid var(--rule)}
.group[hidden]{display:none}
.group>summary{display:grid;grid-template-columns:9.5rem 12rem 1fr;gap:1rem;align-items:center;padding:.65rem 0;cursor:pointer;
list-style:none;font-size:.9375rem}
.group>summary::-webkit-details-marker{display:none}
.group>summary::before{content:none}
.group>summary b::before{content:"\\25b8";display:inline-block;width:1rem;color:var(--quiet);font-weight:400}
.group[open]>summary b::before{content:"\\25be"}
.group>summary .bar{margin:0;height:.6rem}
.group>summary small{font-size:.8125rem}
.group table{margin:0 0 1.25rem}
.group td:first-child{width:10.5rem}
.group tr[hidden]{display:none}
.ids{margin-top:.2rem;font-size:.75rem;color:var(--quiet)}.ids summary{cursor:pointer}
details.more{margin:.75rem 0}details.more>summary{cursor:pointer;font-weight:600;font-size:.9375rem;padding:.35rem 0}
code{font:.8125em ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere}
ul.plain{padding-left:1.1rem;max-width:52rem}ul.plain li{margin:.3rem 0}
.prose p,.prose li{max-width:46rem}
@media (min-width:75rem){
.sheet{display:grid;grid-template-columns:13rem minmax(0,1fr);gap:3rem}
nav{display:block;position:sticky;top:0;align-self:start;max-height:100vh;overflow-y:auto;padding:2.75rem 0 2rem;font-size:.8125rem;line-height:1.4}
nav ol{list-style:none;margin:0;padding:0}nav li{margin:.45rem 0}nav a{color:var(--quiet);text-decoration:none}nav a:hover{color:var(--link);text-decoration:underline}
nav .sub{margin:1rem 0 .3rem;color:var(--ink);font-weight:600}
}
@media (max-width:60rem){
.claims .measured,.claims .num{white-space:normal}.forest{width:8rem}
.tally{grid-template-columns:repeat(3,1fr)}
.group>summary{grid-template-columns:8rem 7rem 1fr}
}
@media (max-width:44rem){
.sheet{padding:0 1rem 4rem}
h1{margin-top:1.5rem}
.plot{padding:.5rem}.plot svg.wide{max-width:none;min-width:34rem}
.scroll td:last-child{min-width:14rem}
.tally{grid-template-columns:1fr 1fr}
.stack thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.stack,.stack tbody,.stack tr,.stack td{display:block;width:100%}
.stack tr{border-bottom:1px solid var(--rule);padding:.75rem 0}
.stack tr[hidden]{display:none}
.stack td{border:0;padding:.12rem 0;overflow-wrap:anywhere}
.stack td:empty{display:none}
.stack td[data-h]::before{content:attr(data-h) ": ";color:var(--quiet);font-size:.8125rem}
.group>summary{grid-template-columns:1fr 6rem;gap:.4rem 1rem}.group>summary small{grid-column:1/-1}
.group td:first-child{width:100%}
.forest{width:100%;max-width:20rem}
}
@media print{nav,.filters,.shown{display:none}.sheet{display:block;max-width:none}h2{break-after:avoid}figure,tr{break-inside:avoid}}
"""

# Without it, every verdict is there, folded by artifact, and no button is.
SCRIPT = """
const groups=[...document.querySelectorAll('.group')],bars=[...document.querySelectorAll('.filters')],shown=document.querySelector('.shown');
const search=document.querySelector('.search'),fold=document.querySelector('.fold');
if(groups.length){for(const bar of bars)bar.hidden=false;
const total=document.querySelectorAll('.group tbody tr').length;
const apply=()=>{const kind=document.querySelector('[data-kind][aria-pressed=true]').dataset.kind,words=search.value.trim().toLowerCase();
let n=0;for(const group of groups){let here=0;for(const row of group.querySelectorAll('tbody tr')){
row.hidden=(kind!==''&&row.dataset.verdict!==kind)||(words!==''&&!(group.dataset.name+' '+row.textContent).toLowerCase().includes(words));
here+=!row.hidden;}
group.hidden=!here;n+=here;if(kind!==''||words!=='')group.open=here>0;}
shown.textContent=kind!==''||words!==''?`${n} of ${total} numbers shown`:'';};
for(const button of document.querySelectorAll('button[data-kind]'))button.addEventListener('click',()=>{
for(const b of document.querySelectorAll('button[data-kind]'))b.setAttribute('aria-pressed',String(b===button));
apply();if(button.dataset.kind==='')for(const g of groups)g.open=false;});
search.addEventListener('input',apply);
fold.addEventListener('click',()=>{const open=groups.some(g=>!g.hidden&&!g.open);for(const g of groups)if(!g.hidden)g.open=open;
fold.textContent=open?'Fold all':'Unfold all';});}
"""
