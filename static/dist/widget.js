// Generated from static/ by `make bundle`: do not edit.
function O(i,t,e=Math.random){return Math.min(i*2**Math.max(t-1,0),6e4)*(1+e()/4)}function b(i,...t){let e=new AbortController;return new Promise(s=>{let r=()=>{
clearTimeout(o),e.abort(),s()},o=setTimeout(r,i);addEventListener("online",r,{signal:e.signal});for(let n of t){if(n.aborted)return r();n.addEventListener("abor\
t",r,{signal:e.signal})}})}var E=class{#t=0;#e=0;#s;constructor(t=Math.random){this.#s=t,this.retry=3e3}get failures(){return this.#t}get delay(){return O(this.
retry,this.#t,this.#s)}connected(){this.#t=0}received(){this.#e=0}failed(){this.#t+=1}resetReceived(){return this.#e+=1,this.#t=this.#e-1,this.#e===1}};var h=class extends Error{constructor(t){super(`refused: ${t}`),this.code=t}},f=class extends Error{constructor(t){super(`temporary failure: ${t}`),this.code=t}},
g=class extends Error{};var k=class{#t;#e=1/0;#s;constructor(t,e){this.#t=t,this.ticketUrl=e,this.fetchedAt=0}async token(t){if(this.#t&&(!this.ticketUrl||this.#t!==t&&Date.now()<this.#e))
return this.#t;if(!this.ticketUrl)throw new h("auth_required");return this.#s??=this.#i().finally(()=>{this.#s=void 0}),this.#s}async#i(){let{response:t,text:e}=await this.#r();
if(t.status===401||t.status===403)throw new f("ticket_refused");let s=at(e);if(!t.ok||!ct(s.token))throw new f("ticket_failed");return this.#t=s.token,this.fetchedAt=
Date.now(),this.#e=s.expires_in>0?this.fetchedAt+s.expires_in*1e3:1/0,this.#t}async#r(){try{let t=await fetch(this.ticketUrl,{headers:{Accept:"application/json,\
 text/plain"},mode:"same-origin",credentials:"same-origin",cache:"no-store",signal:AbortSignal.timeout(2e4)});return{response:t,text:(await t.text()).trim()}}catch{
throw new f(navigator.onLine?"ticket_failed":"offline")}}};function at(i){if(!i.startsWith("{"))return{token:i};try{return JSON.parse(i)}catch{throw new f("tick\
et_failed")}}function ct(i){return typeof i=="string"&&/^[\w.~+/=-]+$/.test(i)}function w(i){try{let t=atob(i.split(".")[1].replace(/-/g,"+").replace(/_/g,"/")),e=new TextDecoder().decode(Uint8Array.from(t,s=>s.charCodeAt(0)));return Object(
JSON.parse(e))}catch{return{}}}function F(i){let{exp:t,iat:e,nbf:s,jti:r,...o}=w(i);return Object.keys(o).length>0?JSON.stringify(o):i}function j(i){let{scope:t,
use:e}=w(i);return e!=="ticket"&&/(^| )(events|manage)( |$)/.test(t)}var x=class{constructor(t=""){this.lastEventId=t,this.retry=void 0,this.pending="",this.afterCr=!1,this.startEvent()}startEvent(){this.type="",this.data=[],this.
id=this.lastEventId}*push(t){this.afterCr&&t.startsWith(`
`)&&(t=t.slice(1)),t!==""&&(this.afterCr=t.endsWith("\r"));let e=(this.pending+t).split(/\r\n|\n|\r/);this.pending=e.pop();for(let s of e){if(s!==""){this.parseField(
s);continue}this.lastEventId=this.id,this.data.length>0&&(yield{type:this.type||"message",data:this.data.join(`
`),lastEventId:this.lastEventId}),this.startEvent()}}parseField(t){let e=t.indexOf(":"),s=e<0?t:t.slice(0,e),r=e<0?"":t.slice(e+1).replace(/^ /,"");s==="data"?this.
data.push(r):s==="event"?this.type=r:s==="id"&&!r.includes("\0")?this.id=r:s==="retry"&&/^[0-9]+$/.test(r)&&(this.retry=Number(r))}};async function H(i,{headers:t,
parser:e,signal:s,silence:r,onOpen:o,onEvent:n,onChunk:a}){let c=new AbortController,l=()=>c.abort(new DOMException(`no data for ${r} ms`,"TimeoutError")),u=setTimeout(
l,r);try{let B=e.lastEventId?{"Last-Event-ID":e.lastEventId}:{},m=await fetch(i,{headers:{Accept:"text/event-stream",...B,...t},cache:"no-store",credentials:"om\
it",signal:AbortSignal.any([s,c.signal])}),z=m.headers.get("content-type")??"";if(m.status!==200||!/^text\/event-stream\s*(;|$)/i.test(z))throw new Error(`expec\
ted an event stream, got status ${m.status} and content type ${JSON.stringify(z)}`);o?.();let st=new TextDecoder,it=m.body.getReader();for(;;){let{done:rt,value:nt}=await it.
read();if(rt)return;clearTimeout(u),u=setTimeout(l,r);let X=st.decode(nt,{stream:!0});for(let ot of e.push(X))n(ot);a?.(X)}}finally{clearTimeout(u),c.abort()}}var dt=9e4;function G(i,{token:t,parser:e,signal:s,onOpen:r,onEvent:o,onChunk:n}){return H(i,{headers:{Authorization:`Bearer ${t}`},parser:e,signal:s,silence:dt,
onOpen:r,onChunk:n,onEvent:({type:a,data:c,lastEventId:l})=>{if(a==="error")throw new h(c);if(a==="reset")throw new g("events after this position are no longer \
available");a==="message"&&o({...JSON.parse(c),id:l})}})}function y(i){if(i instanceof h)return{state:"error",code:i.code};if(!navigator.onLine)return{state:"offline",code:"offline"};let t=i instanceof f?i.code:"unrea\
chable";return{state:t==="ticket_refused"?"error":"offline",code:t}}function W(i){return Number(i.split(".")[1])}function p(i,t){return i===t||i===""||t==="earliest"?!1:t===""||i==="earliest"?!0:i.split(".")[0]!==t.split(".")[0]||
W(i)<W(t)}function S(i,t){return i===null?!0:t?.every(e=>i.includes(e))??!1}var v=class{#t=new Map;#e="";constructor(){this.documents=[],this.position="",this.backlog=new Set}get isEmpty(){
return this.documents?.length===0}get covered(){return{documents:this.documents,after:this.#e}}add({documents:t,after:e}){let s=this.isEmpty,r=S(this.documents,
t);r||this.#s(t);let o=[],n=e;if(e==="earliest"){for(let c of t)this.#t.has(c)?o.push(this.#t.get(c)):this.documents===null&&this.backlog.add(c);this.documents===
null&&(n="")}let a=s?n!=="":p(n,this.#e);return a&&(this.#e=n),(a||!r&&p(n,this.position))&&(this.position=n),{replay:o,reconnect:!r||a||this.backlog.size>0}}#s(t){
let e=t===null?null:[...new Set([...this.documents,...t])];if(e!==null&&e.length<=100){this.documents=e;return}if(this.position==="earliest")for(let s of this.documents)
this.backlog.add(s);this.position==="earliest"&&(this.position=""),this.#e==="earliest"&&(this.#e=""),this.documents=null}nextStream(){let t=this.documents===null&&
this.backlog.size>0;return t?{documents:[...this.backlog],after:"earliest",isBacklog:t}:{documents:this.documents,after:this.position,isBacklog:t}}received(t,{isBacklog:e}){
e||(this.position=t.id),this.#t.delete(t.documentId),this.#t.set(t.documentId,t),this.#t.size>1e3&&this.#t.delete(this.#t.keys().next().value)}backlogRead(t,e=""){
for(let s of t)this.backlog.delete(s);this.position===""&&(this.position=e)}};var ft=2**31-1,T=class{#t;#e=new v;#s=new E;#i=new AbortController;#r=new AbortController;#n;constructor(t){this.#t=t}async run(){let{signal:t}=this.#t;for(this.#t.
broadcast({requestInterests:!0}),await b(this.#t.hasOtherTabs?30:0,t);!t.aborted;){if(this.#e.isEmpty){await this.#o(ft);continue}let e=await this.#a();if(e==="\
stop"||t.aborted)return;e!=="reconnect"&&(this.#t.broadcast(e),await this.#o(this.#s.delay,this.#i.signal))}}addInterest(t){let{replay:e,reconnect:s}=this.#e.add(
t);for(let r of e)this.#t.broadcast({event:r,isReplay:!0});s?this.reconnect():this.#t.broadcast({covered:this.#e.covered}),this.#t.broadcast(this.#t.status)}reconnect(){
this.#i.abort(),this.retryNow()}retryNow(){this.#r.abort()}#o(t,...e){return this.#r=new AbortController,b(t,this.#t.signal,this.#r.signal,...e)}async#a(){let t=Date.
now(),{credentials:e}=this.#t,s={isLive:!1,isRelayFull:!1};this.#i=new AbortController;try{if(!navigator.onLine)throw new f("offline");return s.token=await e.token(
this.#n),this.#t.isFor(s.token)?(await this.#c(s),s.isRelayFull?{state:"connecting",code:"busy"}:{state:"connecting"}):(this.#t.accessChanged(),"stop")}catch(r){
return this.#d(r,s,{credentials:e,startedAt:t})}}#d(t,e,{credentials:s,startedAt:r}){if(t instanceof g)return this.#e=new v,this.#t.broadcast({reset:!0}),this.#s.
resetReceived()?"reconnect":y(t);if(this.#i.signal.aborted&&navigator.onLine)return"reconnect";let o=y(t);if(t instanceof h){if(this.#n=e.token,s.ticketUrl&&(e.
isLive||s.fetchedAt<r))return"reconnect";if(!s.ticketUrl)return this.#t.stepDown(o),"stop"}return this.#s.failed(),o}async#c(t){let e=this.#e.nextStream(),s=new x(
e.after),r=new URL(`${this.#t.relay}/events/client`);for(let n of e.documents??[])r.searchParams.append("document",n);e.isBacklog||this.#t.broadcast({covered:{documents:e.
documents,after:e.after}});let o=AbortSignal.any([this.#t.signal,this.#i.signal]);await G(r,{token:t.token,parser:s,signal:o,onEvent:n=>{o.aborted||(t.lastId=n.
id,this.#s.received(),this.#e.received(n,e),this.#t.broadcast({event:n,isReplay:e.isBacklog}))},onChunk:n=>!o.aborted&&this.#h(n,s,e,t)})}#h(t,e,s,r){this.#s.retry=
e.retry??this.#s.retry,r.isRelayFull||=!r.isLive&&t.startsWith(":"),!r.isLive&&!r.isRelayFull&&e.retry!==void 0?(r.isLive=!0,this.#s.connected(),this.#t.broadcast(
{state:"live"})):s.isBacklog&&/^\n+$/.test(t)&&e.pending===""&&e.data.length===0&&(this.#e.backlogRead(s.documents,r.lastId),this.reconnect())}};async function Y({locks:i,name:t,signal:e,lead:s,leadAlone:r}){if(!i)return r();let o=!1,n=()=>(o=!0,s());try{return await i.request(t,{signal:e},n)}catch(a){if(e.
aborted)return;if(o)throw a;return r()}}var pt=2,J=(i,t)=>`docrelay ${pt} ${i} ${F(t)}`,R=class i{static#t=new Map;#e;#s;#i;#r=!1;#n=new Set;#o=new AbortController;static of(t,e){let s=J(t,e);return i.#t.
has(s)||i.#t.set(s,new i(s,t)),i.#t.get(s)}constructor(t,e){this.#e=t,this.relay=e,this.status={state:"connecting"},navigator.locks&&globalThis.BroadcastChannel&&
(this.#s=new BroadcastChannel(t),this.#s.onmessage=({data:o})=>this.#a(o));let{signal:s}=this,r=()=>document.visibilityState==="visible"&&this.broadcast({retryNow:!0});
document.addEventListener("visibilitychange",r,{signal:s}),addEventListener("offline",()=>this.#i?.reconnect(),{signal:s})}get signal(){return this.#o.signal}get hasOtherTabs(){
return this.#s!==void 0}get credentials(){return[...this.#n].at(-1).credentials}isFor(t){return J(this.relay,t)===this.#e}subscribe(t){this.#n.add(t),t.notify(this.
status),this.#c()}unsubscribe(t){!this.#n.delete(t)||this.#n.size>0||(this.#o.abort(),this.#s?.close(),i.#t.delete(this.#e))}follow(t,e){t.begin(e),this.broadcast(
{interest:e})}broadcast(t){this.signal.aborted||(this.#s?.postMessage(t),this.#a(t))}stepDown(t){this.#i=void 0,this.#r=!1,this.status=t;for(let e of this.#n)e.
notify(t)}accessChanged(){for(let t of[...this.#n])t.notify({accessChanged:!0})}#a(t){t.state&&(this.status=t),t.state==="live"&&this.#n.size>0&&this.#c(),t.retryNow&&
this.#i?.retryNow(),t.requestInterests&&this.#d(),t.interest&&this.#i?.addInterest(t.interest);for(let e of[...this.#n])e.receive(t)}#d(){for(let{remainingInterest:t}of this.#n)
t&&this.broadcast({interest:t})}#c(){if(this.#r)return;this.#r=!0;let t=()=>(this.#i=new T(this),this.#i.run()),e=()=>(this.#s?.close(),this.#s=void 0,t()),s=this.#s&&
navigator.locks;Y({locks:s,name:this.#e,signal:this.signal,lead:t,leadAlone:e})}};var A=class{#t;#e="";#s=!1;#i=[];#r;constructor(t,e){this.credentials=t,this.notify=e}pause(){this.#t=void 0,this.#i=[],this.#r=void 0}begin(t){this.#t=t,this.#e=
t.after,this.#s=!1;let e=this.#i;if(this.#i=[],this.#r&&p(t.after,this.#r))this.notify({reset:!0});else for(let s of e)this.#o(s)}get remainingInterest(){return this.#t&&
{documents:this.#t.documents,after:this.#e}}receive(t){t.covered?this.#n(t.covered):t.event?this.#o(t):(t.state||t.reset)&&this.notify(t)}#n({documents:t,after:e}){
!this.#t||this.#s||(this.#s=S(t,this.#t.documents)&&!p(this.#t.after,e))}#o(t){let{event:e,isReplay:s}=t;if(!this.#t){this.#a(t);return}if(!s){if(this.#e!==""&&
!p(this.#e,e.id))return;this.#s&&(this.#e=e.id)}S(this.#t.documents,[e.documentId])&&this.notify(t)}#a(t){this.#i.push(t),this.#i.length>1e3&&(this.#r=this.#i.shift().
event.id)}};async function V({relay:i,credentials:t,documents:e,vendor:s},r){let o=await t.token(),n=e??w(o).documents??null,a=()=>({documents:e===null?[]:void 0,interest:{
documents:n,after:n===null?"":"earliest"},newsSince:Math.min(w(o).iat*1e3||Date.now(),Date.now())});if(!j(o))return a();let c=new URLSearchParams({limit:n?1:20});
s&&!n&&c.set("vendor",s);let l=m=>wt(i+m,o,r),u=await l(`/documents?${c}`);return u===null&&t.ticketUrl&&(o=await t.token(o),u=await l(`/documents?${c}`)),u===null?
a():{documents:(n?await Promise.all(n.map(m=>l(`/documents/${encodeURIComponent(m)}`))):u.documents).filter(Boolean).map(bt),interest:{documents:n,after:u.lastEventId},
newsSince:0}}function bt({eventId:i,...t}){return{...t,id:i}}async function wt(i,t,e){let s=await fetch(i,{headers:{Authorization:`Bearer ${t}`},cache:"no-store",
credentials:"omit",signal:AbortSignal.any([e,AbortSignal.timeout(2e4)])});if([400,401,403,404].includes(s.status))return null;if(!s.ok)throw new Error(`the rela\
y responded with status ${s.status}`);return s.json()}function Q(i){return t=>{let e=new D(i,t);return e.subscribe(),()=>e.stop()}}var D=class{#t;#e;#s;#i;#r;#n=new AbortController;#o=new AbortController;#a=0;constructor(t,e){
this.#t=t,this.#e=e,this.#s=new k(t.token,t.ticketUrl),this.#i=new A(this.#s,s=>this.#d(s))}async subscribe(){this.#r?.unsubscribe(this.#i);let{signal:t}=this.#n,
e=await this.#h(()=>this.#s.token(),t);t.aborted||e===void 0||(this.#r=R.of(this.#t.relay,e),this.#r.subscribe(this.#i),await this.#c())}stop(){this.#n.abort(),
this.#r?.unsubscribe(this.#i)}#d(t){t.accessChanged?this.subscribe():t.event?this.#e({event:t.event,isNews:Date.parse(t.event.time)>=this.#a}):(this.#e(t),t.reset&&
this.#c())}async#c(){this.#o.abort(),this.#o=new AbortController;let t=AbortSignal.any([this.#n.signal,this.#o.signal]);this.#i.pause();let e={...this.#t,credentials:this.#s},
s=await this.#h(()=>V(e,t),t);t.aborted||!s||(this.#a=s.newsSince,s.documents&&this.#e({documents:s.documents}),this.#r.follow(this.#i,s.interest))}async#h(t,e){
for(let s=1;!e.aborted;s+=1)try{return await t()}catch(r){if(e.aborted||(this.#e(y(r)),r instanceof h))return;await b(O(3e3,s),e)}}};function _(i){let t=(i.getAttribute("document")??"").toLowerCase().split(/[\s,]+/).filter(Boolean);return t.length>0?t:null}function K(i){let t=vt(i);if(!t)return s=>s(
{state:"error",code:"bad_relay"});let e=i.getAttribute("ticket-url");return Q({relay:t,token:i.getAttribute("token")?.trim(),ticketUrl:e&&new URL(e,document.baseURI).
href,documents:_(i),vendor:i.getAttribute("vendor")})}function vt(i){try{let t=new URL(i.getAttribute("relay")||new URL(".",import.meta.url),document.baseURI);return/^https?:$/.
test(t.protocol)?(t.origin+t.pathname).replace(/\/+$/,""):void 0}catch{return}}var C={en:{statuses:{PENDING:"In progress",COMPLETED:"Completed",ERROR:"Failed"},states:{connecting:"Connecting",live:"Live",offline:"Not connected",error:"Stop\
ped"},codes:{auth_required:"Access denied: this page has no token. Ask the operator of this site for access.",auth_failed:"Access denied: the token is invalid, \
expired or revoked. Reload the page to get a new one.",not_accepted:"The server rejected this browser’s request for updates. Try another browser or network.",
ticket_refused:"You no longer have access to these updates. Sign in to this site again.",ticket_failed:"Access to the updates could not be renewed. Retrying.",bad_relay:"\
The relay attribute is not an http or https URL. Correct it in this page.",offline:"You are offline. Missed changes appear when you are back online.",unreachable:"\
Updates are unavailable right now. Retrying.",busy:"The server is busy. Retrying.",refused:"The server rejected the request for updates. Reload the page."},reset:"\
Some earlier updates are no longer available. The present status is shown.",none:"No documents yet. New documents appear here.",unknown:"This document has no st\
atus yet.",loading:"Loading",untitled:"Document"},zh:{statuses:{PENDING:"处理中",COMPLETED:"已完成",ERROR:"失败"},states:{connecting:"正在连接",live:"\
实时",offline:"未连接",error:"已停止"},codes:{auth_required:"没有权限：此页面没有令牌。请联系本站管理员获取权限。",auth_failed:"\
没有权限：令牌无效、已过期或已被撤销。请重新加载页面以获取新令牌。",not_accepted:"服务器拒绝了此浏览器的更新请求。请换用其他浏览器或网络。",
ticket_refused:"您已没有接收这些更新的权限。请重新登录本站。",ticket_failed:"未能续期接收更新的权限，正在重试。",bad_relay:"\
relay 属性不是 http 或 https 网址。请在此页面中更正。",offline:"您已离线。恢复连接后将显示错过的变化。",unreachable:"暂时无法获取更\
新，正在重试。",busy:"服务器繁忙，正在重试。",refused:"服务器拒绝了更新请求。请重新加载页面。"},reset:"部分较早的更新已不再保留，当前显示的是最\
新状态。",none:"暂无文档，新文档将显示在此处。",unknown:"此文档暂无状态。",loading:"正在加载",untitled:"文档"}};function M(i){let t=i.
closest("[lang]")?.lang||document.documentElement.lang||navigator.language||"";return/^zh\b/i.test(t)?"zh":"en"}function I(i,t){return i.codes[t]??i.codes.refused}var N=class{#t=new Map;clear(){this.#t.clear()}put(t,{isNew:e=!1}={}){let s=this.#t.get(t.documentId);return s&&!p(s.event.id,t.id)?!1:(this.#t.set(t.documentId,
{event:t,isNew:e}),this.#t.size>32&&this.#e(),!0)}get rows(){return[...this.#t.values()].sort((t,e)=>p(t.event.id,e.event.id)?1:-1).slice(0,8)}markSeen(){for(let t of this.#t.
values())t.isNew=!1}#e(){this.#t=new Map(this.rows.map(t=>[t.event.documentId,t]))}};var U=new CSSStyleSheet;U.replaceSync(`
:host { display: block; max-width: var(--docrelay-width, 30rem); container-type: inline-size;
  --text: var(--docrelay-text, light-dark(#1c1f23, #e6e8eb)); --quiet: var(--docrelay-quiet, light-dark(#5b636d, #a2abb5));
  --done: var(--docrelay-completed, light-dark(#17693a, #6fd394)); --failed: var(--docrelay-error, light-dark(#b3261e, #ff9a92));
  --busy: var(--docrelay-pending, light-dark(#7a5200, #f0c36a)); --line: var(--docrelay-line, light-dark(#d9dde2, #363d45));
  font: var(--docrelay-font, 15px/1.45 system-ui, sans-serif); }
:host([hidden]) { display: none; }
* { box-sizing: border-box; margin: 0; padding: 0; }
.box { direction: ltr; color: var(--text); background: var(--docrelay-background, light-dark(#fff, #1d2126)); border: 1px solid var(--line);
  border-radius: var(--docrelay-radius, .6rem); overflow: hidden; }
.state { display: flex; gap: .5rem; align-items: baseline; padding: .45rem .9rem; color: var(--quiet); font-size: .85em;
  border-bottom: 1px solid var(--line); }
.dot { flex: none; width: .55rem; height: .55rem; border-radius: 50%; background: var(--busy); }
[data-state="live"] .dot { background: var(--done); }
[data-state="offline"] .dot { background: none; box-shadow: inset 0 0 0 2px var(--quiet); }
[data-state="error"] .dot { background: var(--failed); border-radius: 0; }
.message { padding: .5rem .9rem; border-bottom: 1px solid var(--line); font-size: .9em; text-wrap: pretty; }
p:last-child { border-bottom: 0; }
[data-state="error"] .message { color: var(--failed); }
.empty { padding: .8rem .9rem; color: var(--quiet); }
ul { list-style: none; }
li { display: grid; grid-template-columns: auto minmax(0, 1fr) auto; gap: 0 .6rem; align-items: baseline; padding: .6rem .9rem; }
li + li { border-top: 1px solid var(--line); }
.mark { width: 1.1em; height: 1.1em; align-self: start; margin-top: .18em; color: var(--quiet); }
svg { display: block; width: 100%; height: 100%; fill: none; stroke: currentColor; stroke-width: 2.2; stroke-linecap: round; stroke-linejoin: round; }
.title, .problem { overflow-wrap: anywhere; display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden;
  unicode-bidi: isolate; text-align: left; }
.title { font-weight: 600; }
.status { white-space: nowrap; font-weight: 600; font-size: .9em; }
.time, .problem { grid-column: 2 / -1; font-size: .85em; color: var(--quiet); }
.problem { color: var(--failed); }
[data-status="COMPLETED"] :is(.mark, .status) { color: var(--done); }
[data-status="ERROR"] :is(.mark, .status) { color: var(--failed); }
[data-status="PENDING"] :is(.mark, .status) { color: var(--busy); }
@container (max-width: 17rem) { li { grid-template-columns: auto minmax(0, 1fr); } .status { grid-column: 2; } }
.announcement { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media (prefers-reduced-motion: no-preference) {
  [data-status="PENDING"] svg, [data-state="connecting"] .dot { animation: turn 1.6s linear infinite; }
  [data-state="connecting"] .dot { animation-name: pulse; }
  li.is-new { animation: highlight 1.6s ease-out; }
  @keyframes turn { to { rotate: 360deg; } }
  @keyframes pulse { 50% { opacity: .25; } }
  @keyframes highlight { from { background: color-mix(in srgb, var(--busy) 22%, transparent); } }
}
@media (forced-colors: active) { .dot { forced-color-adjust: none; } }
`);var Et={PENDING:"M12 3a9 9 0 1 0 9 9",COMPLETED:"M4 12.5l5.5 5.5L20 6.5",ERROR:"M6 6l12 12M18 6L6 18"};function d(i,t,e){let s=document.createElement(i);return s.
className=t,s.setAttribute("part",t),e!==void 0&&(s.textContent=e),s}function q(i){let t=String(i).slice(0,640).replace(/[\u202a-\u202e]/g,""),e=Array.from(t.replace(
/\p{Cc}+/gu," "));return e.length>160?`${e.slice(0,160).join("")}…`:e.join("")}function et({status:i,rows:t,emptyText:e,showsReset:s},r,o){let n=d("p","state");
n.append(d("span","dot"),d("span","state-text",r.states[i.state]));let a=[n],c=i.code&&I(r,i.code);if((c||s)&&a.push(d("p","message",c??r.reset)),t.length>0){let l=d(
"ul","list");l.append(...t.map(u=>kt(u,r,o))),a.push(l)}else c||a.push(d("p","empty",e));return a}function kt({event:i,isNew:t},e,s){let r=d("li","item");r.part.
add(`item-${String(i.status).toLowerCase()}`),r.dataset.status=i.status,r.classList.toggle("is-new",t);let o=tt("title",i.title||i.vendorId||i.documentId);r.append(
xt(i.status),o,d("span","status",e.statuses[i.status]??i.status));let n=i.error&&[i.error.code,i.error.message].filter(Boolean).join(": ");i.status==="ERROR"&&n&&
r.append(tt("problem",n));let a=new Date(i.time);if(!Number.isNaN(a.valueOf())){let c=d("time","time",St(a,s));c.dateTime=i.time,r.append(c)}return r}function tt(i,t){
let e=d("bdi",i,q(t));return e.dir="auto",e}function xt(i){let t=d("span","mark");t.setAttribute("aria-hidden","true");let e=document.createElementNS("http://ww\
w.w3.org/2000/svg","svg");e.setAttribute("viewBox","0 0 24 24");let s=document.createElementNS("http://www.w3.org/2000/svg","path");return s.setAttribute("d",Et[i]??
"M12 12h.01"),e.append(s),t.append(e),t}function St(i,t){let s=i.toDateString()===new Date().toDateString()?{timeStyle:"medium"}:{dateStyle:"medium",timeStyle:"\
short"};return new Intl.DateTimeFormat(t,s).format(i)}var P=class extends HTMLElement{static observedAttributes=["relay","token","ticket-url","document","vendor","lang"];#t=new N;#e={state:"connecting"};#s=null;#i=null;#r=!1;#n=!1;#o=!1;#a="";#d=null;#c=!1;#h=!1;constructor(){
super();let t=this.attachShadow({mode:"open"});t.adoptedStyleSheets=[U];let e=d("p","announcement");e.setAttribute("role","status"),e.setAttribute("aria-live","\
polite"),t.append(d("div","box"),e)}get state(){return{...this.#e}}get documents(){return this.#t.rows.map(({event:t})=>t)}get source(){return this.#s}set source(t){
this.#s=t,this.#l()}connectedCallback(){this.#d=new AbortController;let{signal:t}=this.#d;addEventListener("pagehide",()=>this.#u(),{signal:t}),addEventListener(
"pageshow",({persisted:e})=>e&&this.#l(),{signal:t}),this.#l()}disconnectedCallback(){this.#d.abort(),this.#u()}attributeChangedCallback(t,e,s){e===s||!this.isConnected||
(t==="lang"?this.#b():this.#l())}#u(){this.#i?.(),this.#i=null}#l(){this.#c||(this.#c=!0,queueMicrotask(()=>{if(this.#c=!1,this.#u(),!this.isConnected)return;this.#t.
clear(),this.#r=this.#n=this.#o=!1,this.#f({state:"connecting"});let t=!1,s=(this.#s??K(this))(r=>!t&&this.#f(r));this.#i=()=>{t=!0,s?.()}}))}#f(t){if(t.documents){
this.#m(),this.#r=!0;for(let e of t.documents)this.#p(e)}else t.event?this.#y(t):t.reset?this.#n=this.#o=!0:t.state&&this.#w(t);this.#b()}#w({state:t,code:e}){t===
"live"&&(this.#r||=_(this)!==null);let s=t===this.#e.state&&e===this.#e.code;if(this.#e=e?{state:t,code:e}:{state:t},s)return;let r=C[M(this)];this.#a=e?I(r,e):
r.states[t],this.#g("docrelay-state",this.state)}#y({event:t,isNews:e=!0}){if(this.#m(),!this.#p(t,{isNew:e})||!e)return;this.#o=!1;let{statuses:s,untitled:r}=C[M(
this)];this.#a=`${q(t.title??r)}: ${s[t.status]??t.status}`,this.#g("docrelay-event",t)}#p(t,e){let s=this.getAttribute("vendor");return(!s||t.vendor===s)&&this.#t.
put({...t},e)}#m(){this.#n&&this.#t.clear(),this.#n=!1}#g(t,e){this.dispatchEvent(new CustomEvent(t,{detail:e,bubbles:!0,composed:!0}))}#b(){this.#h||(this.#h=!0,
queueMicrotask(()=>{this.#h=!1,this.#v()}))}#v(){let t=M(this),e=C[t],[s,r]=this.shadowRoot.children;s.dataset.state=this.#e.state,s.lang=t;let o=this.#t.rows,n={
status:this.#e,rows:o,emptyText:this.#E(e),showsReset:this.#o};s.replaceChildren(...et(n,e,t)),this.#t.markSeen(),r.textContent!==this.#a&&(r.textContent=this.#a)}#E(t){
return this.#r?_(this)?t.unknown:t.none:t.loading}};customElements.get("docrelay-status")||customElements.define("docrelay-status",P);
