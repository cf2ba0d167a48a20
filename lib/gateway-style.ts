/** How the gateway's pages look: light or dark as the person's system is; a table, or where that has no room, cards. */
export const STYLE = `:root{color-scheme:light dark;
--ink:light-dark(#1c1c21,#e8e8ec);--soft:light-dark(#5c5c68,#a3a3b0);--line:light-dark(#dedee5,#33333c);
--ground:light-dark(#fff,#151519);--raised:light-dark(#f6f6f9,#1e1e24);--link:light-dark(#0b57d0,#8ab4f8);
--awake:light-dark(#0a7340,#4cd787);--fails:light-dark(#b3261e,#ff8d85)}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--ground);max-width:80rem;margin:0 auto;padding:2rem 1.5rem}
header{display:flex;flex-wrap:wrap;gap:0 1rem;align-items:baseline}
h1{font-size:1.5rem;line-height:1.3;margin:0}
header p{margin:0;color:var(--soft)}
header #live{margin-left:auto;font-size:.85rem}
#said{min-height:1.5em;margin:0 0 .5rem}
a{color:var(--link);text-underline-offset:.15em}
table{width:100%;border-collapse:collapse}
th,td{text-align:left;vertical-align:top;padding:.7rem 1.25rem .7rem 0;border-top:1px solid var(--line);font-weight:400}
thead th{color:var(--soft);font-size:.85rem;border:0;padding-bottom:.3rem}
tbody th{min-width:13rem}
tbody tr:last-child>*{border-bottom:1px solid var(--line)}
tr>:last-child{padding-right:0}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.name{font-weight:600}
.at,.at li{margin:0;padding:0;list-style:none;font-size:.85rem;overflow-wrap:anywhere}
.state{font-weight:600;white-space:nowrap}
.state::before{content:"";display:inline-block;width:.6em;height:.6em;margin-right:.45em;border-radius:50%;border:.13em solid currentcolor}
.awake,.fails{color:var(--awake)}.rests{color:var(--soft)}
.awake::before,.fails::before{background:currentcolor}
.fails{color:var(--fails)}.fails::before{border-radius:0}
.soft{color:var(--soft)}small{font-size:.85rem;display:block}
.is small{white-space:nowrap}
.why{width:100%;min-width:12rem;overflow-wrap:anywhere;white-space:pre-line}
.error{color:var(--fails)}
.actions{white-space:nowrap;text-align:right}
button{font:inherit;font-size:.9rem;color:inherit;background:var(--raised);border:1px solid var(--line);border-radius:6px;padding:.2rem .7rem;margin-left:.4rem;cursor:pointer}
button:hover{border-color:currentcolor}
:focus-visible{outline:2px solid var(--link);outline-offset:2px}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
footer{margin-top:1.5rem;color:var(--soft);font-size:.85rem}
.list{list-style:none;padding:0;max-width:48rem}.list li{padding:.5rem 0;border-bottom:1px solid var(--line)}
.list .soft{margin-left:1rem;overflow-wrap:anywhere}
@media(max-width:66rem){
body{padding:1.25rem 1rem}
table{display:block}tbody{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(24rem,100%),1fr));gap:.75rem}
thead{position:absolute;clip-path:inset(50%);width:1px;height:1px;overflow:hidden}
tbody tr{display:flex;flex-wrap:wrap;gap:.35rem 1.25rem;border:1px solid var(--line);border-radius:10px;background:var(--raised);padding:.9rem 1rem;align-content:start}
.at{display:flex;flex-wrap:wrap;gap:0 .9rem}
tbody tr>*,tbody tr:last-child>*{padding:0;border:0;min-width:0}
tbody th,td.is,td.why,td.actions{flex-basis:100%;width:auto}
td.is small{display:inline;margin-left:.5rem}
td.why:empty{display:none}
td.number{text-align:left;font-size:.85rem}
td.number::before{content:attr(data-label);display:block;color:var(--soft)}
td.actions{text-align:left}
button{background:var(--ground);margin:.3rem .4rem 0 0;padding:.45rem 1rem}
}
`
