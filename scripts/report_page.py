# SPDX-License-Identifier: BSD-2-Clause
"""Style and script of the report's page. No font, image or script comes from elsewhere."""

# Colours meet WCAG AA against their background in both schemes.
CSS = """
:root{--paper:#fff;--card:#fff;--ink:#1b1b1f;--quiet:#5c5e66;--rule:#d9dade;--soft:#f3f4f6;--link:#005a9c;--blue:#0072b2;
--reproduced:#00664a;--trend-only:#005a9c;--not-reproduced:#a13e00;--not-applicable-here:#5c5e66;
--paper-inconsistent:#8a2f66}
@media (prefers-color-scheme:dark){:root{--paper:#141417;--card:#1b1b20;--ink:#ececf0;--quiet:#a7a9b4;
--rule:#3a3b43;--soft:#22232a;--link:#7cc0ff;--blue:#3d9be0;--reproduced:#4fd1a5;--trend-only:#7cc0ff;--not-reproduced:#ff9d5c;
--not-applicable-here:#a7a9b4;--paper-inconsistent:#f09ac6}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,"Segoe UI",Roboto,Helvetica,Arial,sans-serif}
main{max-width:68rem;margin:0 auto;padding:1.5rem 1rem 4rem;overflow-wrap:anywhere}
h1{font-size:1.65rem;line-height:1.2;margin:.5rem 0}
h2{font-size:1.25rem;margin:2.5rem 0 .5rem;padding-top:.75rem;border-top:1px solid var(--rule)}
h3{font-size:1rem;margin:1.75rem 0 .4rem}
.lead,figcaption,.caption,small{color:var(--quiet)}
a{color:var(--link)}
.scroll{overflow-x:auto;max-width:100%}
.scroll:focus-visible,button:focus-visible,summary:focus-visible{outline:2px solid var(--link);outline-offset:2px}
table{border-collapse:collapse;width:100%;font-size:.875rem;overflow-wrap:normal}
.caption{margin:.5rem 0;font-size:.8125rem;max-width:52rem}
th,td{padding:.4rem .9rem .4rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--rule)}
th{font-weight:600;white-space:nowrap}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.scroll td:first-child{white-space:nowrap;font-weight:600}
.scroll td:last-child{min-width:9rem}
figure{margin:1.25rem 0 2rem}
.plot{background:var(--card);border:1px solid var(--rule);border-radius:6px;padding:.75rem}
.plot svg{display:block;height:auto;max-width:100%}
figcaption{font-size:.875rem;margin-top:.5rem;max-width:52rem}
.filters[hidden]{display:none}
.filters{display:flex;flex-wrap:wrap;gap:.5rem;margin:.75rem 0}
button{font:inherit;font-size:.875rem;color:var(--ink);background:var(--soft);border:1px solid var(--rule);
border-radius:1rem;padding:.3rem .8rem;min-height:2.25rem;cursor:pointer}
button[aria-pressed=true]{background:var(--ink);color:var(--paper)}
.shown{margin:.25rem 0;color:var(--quiet);font-size:.8125rem}.shown:empty{display:none}
.badge{font-weight:600;white-space:nowrap;border-left:.3rem solid currentColor;padding-left:.4rem}
.reproduced{color:var(--reproduced)}.trend-only{color:var(--trend-only)}.not-reproduced{color:var(--not-reproduced)}
.not-applicable-here{color:var(--not-applicable-here)}.paper-inconsistent{color:var(--paper-inconsistent)}
details{margin-top:.25rem;color:var(--quiet);font-size:.8125rem}summary{cursor:pointer}
code{font:.8125rem ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere}
@media (max-width:44rem){
.plot svg.wide{max-width:none;min-width:34rem}
.scroll td:last-child{min-width:16rem}
.verdicts thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.verdicts,.verdicts tbody,.verdicts tr,.verdicts td{display:block;width:100%}
.verdicts tr{border:1px solid var(--rule);border-radius:6px;padding:.5rem .75rem;margin:.6rem 0}
.verdicts tr[hidden]{display:none}
.verdicts td{border:0;padding:.15rem 0;overflow-wrap:anywhere}
.verdicts td[data-h=Measured]::before{content:"measured: ";color:var(--quiet)}
.verdicts td[data-h=Published]::before{content:"published: ";color:var(--quiet)}
}
@media print{.filters{display:none}h2{break-after:avoid}figure{break-inside:avoid}}
"""

# Without it, all verdicts are there and no button is.
SCRIPT = """
const groups=[...document.querySelectorAll('.filters')],rows=[...document.querySelectorAll('.verdicts tbody tr')];
const chosen=by=>groups.find(g=>g.dataset.by===by)?.querySelector('[aria-pressed=true]').dataset.value??'';
for(const group of groups){group.hidden=false;
for(const button of group.children)button.addEventListener('click',()=>{
for(const b of group.children)b.setAttribute('aria-pressed',String(b===button));
const kind=chosen('kind'),artifact=chosen('artifact');let shown=0;
for(const row of rows){row.hidden=(kind!==''&&row.dataset.kind!==kind)||(artifact!==''&&row.dataset.artifact!==artifact);
shown+=!row.hidden;}
document.querySelector('.shown').textContent=shown<rows.length?`${shown} of ${rows.length} shown`:'';});}
"""
