// Generated from static/ by `make bundle`: do not edit.
function L(s,t,e=Math.random){return Math.min(s*2**Math.max(t-1,0),6e4)*(1+e()/4)}function b(s,...t){let e=new AbortController;return new Promise(i=>{let r=()=>{
clearTimeout(n),e.abort(),i()},n=setTimeout(r,s);addEventListener("online",r,{signal:e.signal});for(let o of t){if(o.aborted)return r();o.addEventListener("abor\
t",r,{signal:e.signal})}})}var E=class{#t=0;#e=0;#s;constructor(t=Math.random){this.#s=t,this.retry=3e3}get failures(){return this.#t}get delay(){return L(this.
retry,this.#t,this.#s)}connected(){this.#t=0}received(){this.#e=0}failed(){this.#t+=1}resetReceived(){return this.#e+=1,this.#t=this.#e-1,this.#e===1}};var l=class extends Error{constructor(t){super(`refused: ${t}`),this.code=t}},p=class extends Error{constructor(t){super(`temporary failure: ${t}`),this.code=t}},
g=class extends Error{};var k=class{#t;#e=1/0;#s;constructor(t,e){this.#t=t,this.ticketUrl=e,this.fetchedAt=0}async token(t){if(this.#t&&(!this.ticketUrl||this.#t!==t&&Date.now()<this.#e))
return this.#t;if(!this.ticketUrl)throw new l("auth_required");return this.#s??=this.#i().finally(()=>{this.#s=void 0}),this.#s}async#i(){let{response:t,text:e}=await this.#r();
if(t.status===401||t.status===403)throw new p("ticket_refused");let i=ct(e);if(!t.ok||!dt(i.token))throw new p("ticket_failed");return this.#t=i.token,this.fetchedAt=
Date.now(),this.#e=i.expires_in>0?this.fetchedAt+i.expires_in*1e3:1/0,this.#t}async#r(){try{let t=await fetch(this.ticketUrl,{headers:{Accept:"application/json,\
 text/plain"},mode:"same-origin",credentials:"same-origin",cache:"no-store",signal:AbortSignal.timeout(2e4)});return{response:t,text:(await t.text()).trim()}}catch{
throw new p(navigator.onLine?"ticket_failed":"offline")}}};function ct(s){if(!s.startsWith("{"))return{token:s};try{return JSON.parse(s)}catch{throw new p("tick\
et_failed")}}function dt(s){return typeof s=="string"&&/^[\w.~+/=-]+$/.test(s)}function w(s){try{let t=atob(s.split(".")[1].replace(/-/g,"+").replace(/_/g,"/")),e=new TextDecoder().decode(Uint8Array.from(t,i=>i.charCodeAt(0)));return Object(
JSON.parse(e))}catch{return{}}}function H(s){let{exp:t,iat:e,nbf:i,jti:r,position:n,...o}=w(s);return Object.keys(o).length>0?JSON.stringify(o):s}function G(s){
let{scope:t,use:e}=w(s);return e!=="ticket"&&/(^| )(events|manage)( |$)/.test(t)}var x=class{constructor(t=""){this.lastEventId=t,this.retry=void 0,this.pending="",this.afterCr=!1,this.startEvent()}startEvent(){this.type="",this.data=[],this.
id=this.lastEventId}*push(t){this.afterCr&&t.startsWith(`
`)&&(t=t.slice(1)),t!==""&&(this.afterCr=t.endsWith("\r"));let e=(this.pending+t).split(/\r\n|\n|\r/);this.pending=e.pop();for(let i of e){if(i!==""){this.parseField(
i);continue}this.lastEventId=this.id,this.data.length>0&&(yield{type:this.type||"message",data:this.data.join(`
`),lastEventId:this.lastEventId}),this.startEvent()}}parseField(t){let e=t.indexOf(":"),i=e<0?t:t.slice(0,e),r=e<0?"":t.slice(e+1).replace(/^ /,"");i==="data"?this.
data.push(r):i==="event"?this.type=r:i==="id"&&!r.includes("\0")?this.id=r:i==="retry"&&/^[0-9]+$/.test(r)&&(this.retry=Number(r))}};async function W(s,{headers:t,
parser:e,signal:i,silence:r,onOpen:n,onEvent:o,onChunk:a}){let c=new AbortController,u=()=>c.abort(new DOMException(`no data for ${r} ms`,"TimeoutError")),f=setTimeout(
u,r);try{let X=e.lastEventId?{"Last-Event-ID":e.lastEventId}:{},m=await fetch(s,{headers:{Accept:"text/event-stream",...X,...t},cache:"no-store",credentials:"om\
it",signal:AbortSignal.any([i,c.signal])}),F=m.headers.get("content-type")??"";if(m.status!==200||!/^text\/event-stream\s*(;|$)/i.test(F))throw new Error(`expec\
ted an event stream, got status ${m.status} and content type ${JSON.stringify(F)}`);n?.();let it=new TextDecoder,rt=m.body.getReader();for(;;){let{done:nt,value:ot}=await rt.
read();if(nt)return;clearTimeout(f),f=setTimeout(u,r);let j=it.decode(ot,{stream:!0});for(let at of e.push(j))o(at);a?.(j)}}finally{clearTimeout(f),c.abort()}}var ht=9e4;function Y(s,{token:t,parser:e,signal:i,onOpen:r,onEvent:n,onChunk:o}){return W(s,{headers:{Authorization:`Bearer ${t}`},parser:e,signal:i,silence:ht,
onOpen:r,onChunk:o,onEvent:({type:a,data:c,lastEventId:u})=>{if(a==="error")throw new l(c);if(a==="reset")throw new g("events after this position are no longer \
available");a==="message"&&n({...JSON.parse(c),id:u})}})}function T(s){return Number(s.split(".")[1])}function U(s,t){return s.split(".")[0]===t.split(".")[0]}function d(s,t){return s===t||s===""||t==="earliest"?!1:t===
""||s==="earliest"?!0:!U(s,t)||T(s)<T(t)}function y(s){if(s instanceof l)return{state:"error",code:s.code};if(!navigator.onLine)return{state:"offline",code:"offline"};let t=s instanceof p?s.code:"unrea\
chable";return{state:t==="ticket_refused"?"error":"offline",code:t}}function S(s,t){return s===null?!0:t?.every(e=>s.includes(e))??!1}var v=class{#t=new Map;#e="";constructor(){this.documents=[],this.position="",this.backlog=new Set}get isEmpty(){
return this.documents?.length===0}get covered(){return{documents:this.documents,after:this.#e}}add({documents:t,after:e}){let i=this.isEmpty,r=S(this.documents,
t);r||this.#s(t);let n=[],o=e;if(e==="earliest"){for(let c of t)this.#t.has(c)?n.push(this.#t.get(c)):this.documents===null&&this.backlog.add(c);this.documents===
null&&(o="")}let a=i?o!=="":d(o,this.#e);return a&&(this.#e=o),(a||!r&&d(o,this.position))&&(this.position=o),{replay:n,reconnect:!r||a||this.backlog.size>0}}#s(t){
let e=t===null?null:[...new Set([...this.documents,...t])];if(e!==null&&e.length<=100){this.documents=e;return}if(this.position==="earliest")for(let i of this.documents)
this.backlog.add(i);this.position==="earliest"&&(this.position=""),this.#e==="earliest"&&(this.#e=""),this.documents=null}nextStream(){let t=this.documents===null&&
this.backlog.size>0&&this.position!=="";return t?{documents:[...this.backlog],after:"earliest",until:this.position,isBacklog:t}:{documents:this.documents,after:this.
position,isBacklog:t}}moved(t){let e=this.position==="earliest"&&(t==="earliest"||T(t)===0);return t===this.position||e?!1:(this.position=t,!0)}received(t,{isBacklog:e}){
e||(this.position=t.id),this.#t.delete(t.documentId),this.#t.set(t.documentId,t),this.#t.size>1e3&&this.#t.delete(this.#t.keys().next().value)}backlogRead(t){for(let e of t)
this.backlog.delete(e)}};var pt=2**31-1,R=class{#t;#e=new v;#s=new E;#i=new AbortController;#r=new AbortController;#n;constructor(t){this.#t=t}async run(){let{signal:t}=this.#t;for(this.#t.
broadcast({requestInterests:!0}),await b(this.#t.hasOtherTabs?30:0,t);!t.aborted;){if(this.#e.isEmpty){await this.#o(pt);continue}let e=await this.#a();if(e==="\
stop"||t.aborted)return;e!=="reconnect"&&(this.#t.broadcast(e),await this.#o(this.#s.delay,this.#i.signal))}}addInterest(t){let{replay:e,reconnect:i}=this.#e.add(
t);for(let r of e)this.#t.broadcast({event:r,isReplay:!0});i?this.reconnect():this.#t.broadcast({covered:this.#e.covered}),this.#t.broadcast(this.#t.status)}reconnect(){
this.#i.abort(),this.retryNow()}retryNow(){this.#r.abort()}#o(t,...e){return this.#r=new AbortController,b(t,this.#t.signal,this.#r.signal,...e)}async#a(){let t=Date.
now(),{credentials:e}=this.#t,i={isLive:!1,isRelayFull:!1};this.#i=new AbortController;try{if(!navigator.onLine)throw new p("offline");return i.token=await e.token(
this.#n),this.#t.isFor(i.token)?(await this.#d(i),i.isRelayFull?{state:"connecting",code:"busy"}:{state:"connecting"}):(this.#t.accessChanged(),"stop")}catch(r){
return this.#c(r,i,{credentials:e,startedAt:t})}}#c(t,e,{credentials:i,startedAt:r}){if(t instanceof g)return this.#e=new v,this.#t.broadcast({reset:!0}),this.#s.
resetReceived()?"reconnect":y(t);if(this.#i.signal.aborted&&navigator.onLine)return"reconnect";let n=y(t);if(t instanceof l){if(this.#n=e.token,i.ticketUrl&&(e.
isLive||i.fetchedAt<r))return"reconnect";if(!i.ticketUrl)return this.#t.stepDown(n),"stop"}return this.#s.failed(),n}async#d(t){let e=this.#e.nextStream(),i=new x(
e.after),r=new URL(`${this.#t.relay}/events/client`);for(let o of e.documents??[])r.searchParams.append("document",o);e.isBacklog||this.#t.broadcast({covered:{documents:e.
documents,after:e.after}});let n=AbortSignal.any([this.#t.signal,this.#i.signal]);await Y(r,{token:t.token,parser:i,signal:n,onEvent:o=>{n.aborted||(this.#s.received(),
this.#e.received(o,e),this.#t.broadcast({event:o,isReplay:e.isBacklog}))},onChunk:o=>!n.aborted&&this.#h(o,i,e,t)})}#h(t,e,i,r){this.#s.retry=e.retry??this.#s.retry,
r.isRelayFull||=!r.isLive&&t.startsWith(":"),!r.isLive&&!r.isRelayFull&&e.retry!==void 0&&(r.isLive=!0,this.#s.connected(),this.#t.broadcast({state:"live"}));let n=e.
lastEventId;if(i.isBacklog){if(d(n,i.until))return;this.#e.backlogRead(i.documents),this.reconnect()}else n!==""&&this.#e.moved(n)&&(this.#t.broadcast({position:n}),
this.#e.nextStream().isBacklog&&this.reconnect())}};async function J({locks:s,name:t,signal:e,lead:i,leadAlone:r}){if(!s)return r();let n=!1,o=()=>(n=!0,i());try{return await s.request(t,{signal:e},o)}catch(a){if(e.
aborted)return;if(n)throw a;return r()}}var mt=3,V=(s,t)=>`docrelay ${mt} ${s} ${H(t)}`,A=class s{static#t=new Map;#e;#s;#i;#r=!1;#n=new Set;#o=new AbortController;static of(t,e){let i=V(t,e);return s.#t.
has(i)||s.#t.set(i,new s(i,t)),s.#t.get(i)}constructor(t,e){this.#e=t,this.relay=e,this.status={state:"connecting"},navigator.locks&&globalThis.BroadcastChannel&&
(this.#s=new BroadcastChannel(t),this.#s.onmessage=({data:n})=>this.#a(n));let{signal:i}=this,r=()=>document.visibilityState==="visible"&&this.broadcast({retryNow:!0});
document.addEventListener("visibilitychange",r,{signal:i}),addEventListener("offline",()=>this.#i?.reconnect(),{signal:i})}get signal(){return this.#o.signal}get hasOtherTabs(){
return this.#s!==void 0}get credentials(){return[...this.#n].at(-1).credentials}isFor(t){return V(this.relay,t)===this.#e}subscribe(t){this.#n.add(t),t.notify(this.
status),this.#d()}unsubscribe(t){!this.#n.delete(t)||this.#n.size>0||(this.#o.abort(),this.#s?.close(),s.#t.delete(this.#e))}follow(t,e){t.begin(e),this.broadcast(
{interest:e})}broadcast(t){this.signal.aborted||(this.#s?.postMessage(t),this.#a(t))}stepDown(t){this.#i=void 0,this.#r=!1,this.status=t;for(let e of this.#n)e.
notify(t)}accessChanged(){for(let t of[...this.#n])t.notify({accessChanged:!0})}#a(t){t.state&&(this.status=t),t.state==="live"&&this.#n.size>0&&this.#d(),t.retryNow&&
this.#i?.retryNow(),t.requestInterests&&this.#c(),t.interest&&this.#i?.addInterest(t.interest);for(let e of[...this.#n])e.receive(t)}#c(){for(let{remainingInterest:t}of this.#n)
t&&this.broadcast({interest:t})}#d(){if(this.#r)return;this.#r=!0;let t=()=>(this.#i=new R(this),this.#i.run()),e=()=>(this.#s?.close(),this.#s=void 0,t()),i=this.#s&&
navigator.locks;J({locks:i,name:this.#e,signal:this.signal,lead:t,leadAlone:e})}};var _=class{#t;#e="";#s=!1;#i=[];#r;constructor(t,e){this.credentials=t,this.notify=e}pause(){this.#t=void 0,this.#i=[],this.#r=void 0}begin(t){this.#t=t,this.#e=
t.after,this.#s=!1;let e=this.#i;if(this.#i=[],this.#r&&d(t.after,this.#r))this.notify({reset:!0});else for(let i of e)this.#a(i)}get remainingInterest(){return this.#t&&
{documents:this.#t.documents,after:this.#e}}receive(t){t.covered?this.#n(t.covered):t.event?this.#a(t):t.position?this.#o(t.position):(t.state||t.reset)&&this.notify(
t)}#n({documents:t,after:e}){!this.#t||this.#s||(this.#s=S(t,this.#t.documents)&&!d(this.#t.after,e))}#o(t){!this.#t||!this.#s||(this.#e===""||d(this.#e,t))&&(this.#e=
t)}#a(t){let{event:e,isReplay:i}=t;if(!this.#t){this.#c(t);return}if(!i){if(this.#e!==""&&!d(this.#e,e.id))return;this.#s&&(this.#e=e.id)}S(this.#t.documents,[e.
documentId])&&this.notify(t)}#c(t){this.#i.push(t),this.#i.length>1e3&&(this.#r=this.#i.shift().event.id)}};async function Q({relay:s,credentials:t,documents:e,vendor:i},r){let n=await t.token(),o=e??w(n).documents??null,a=()=>({documents:e===null?[]:void 0,interest:{
documents:o,after:o===null?"":"earliest"},isNews:wt(n)});if(!G(n))return a();let c=new URLSearchParams({limit:o?1:20});i&&!o&&c.set("vendor",i);let u=m=>vt(s+m,
n,r),f=await u(`/documents?${c}`);return f===null&&t.ticketUrl&&(n=await t.token(n),f=await u(`/documents?${c}`)),f===null?a():{documents:(o?await Promise.all(o.
map(m=>u(`/documents/${encodeURIComponent(m)}`))):f.documents).filter(Boolean).map(yt),interest:{documents:o,after:f.lastEventId},isNews:()=>!0}}function wt(s){
let{position:t,iat:e}=w(s),i=Math.min(e*1e3||Date.now(),Date.now());return({id:r,time:n})=>typeof t=="string"&&U(t,r)?d(t,r):Date.parse(n)>=i}function yt({eventId:s,
...t}){return{...t,id:s}}async function vt(s,t,e){let i=await fetch(s,{headers:{Authorization:`Bearer ${t}`},cache:"no-store",credentials:"omit",signal:AbortSignal.
any([e,AbortSignal.timeout(2e4)])});if([400,401,403,404].includes(i.status))return null;if(!i.ok)throw new Error(`the relay responded with status ${i.status}`);
return i.json()}function K(s){return t=>{let e=new $(s,t);return e.subscribe(),()=>e.stop()}}var $=class{#t;#e;#s;#i;#r;#n=new AbortController;#o=new AbortController;#a=()=>!0;constructor(t,e){
this.#t=t,this.#e=e,this.#s=new k(t.token,t.ticketUrl),this.#i=new _(this.#s,i=>this.#c(i))}async subscribe(){this.#r?.unsubscribe(this.#i);let{signal:t}=this.#n,
e=await this.#h(()=>this.#s.token(),t);t.aborted||e===void 0||(this.#r=A.of(this.#t.relay,e),this.#r.subscribe(this.#i),await this.#d())}stop(){this.#n.abort(),
this.#r?.unsubscribe(this.#i)}#c(t){t.accessChanged?this.subscribe():t.event?this.#e({event:t.event,isNews:this.#a(t.event)}):(this.#e(t),t.reset&&this.#d())}async#d(){
this.#o.abort(),this.#o=new AbortController;let t=AbortSignal.any([this.#n.signal,this.#o.signal]);this.#i.pause();let e={...this.#t,credentials:this.#s},i=await this.#h(
()=>Q(e,t),t);t.aborted||!i||(this.#a=i.isNews,i.documents&&this.#e({documents:i.documents}),this.#r.follow(this.#i,i.interest))}async#h(t,e){for(let i=1;!e.aborted;i+=
1)try{return await t()}catch(r){if(e.aborted||(this.#e(y(r)),r instanceof l))return;await b(L(3e3,i),e)}}};function C(s){let t=(s.getAttribute("document")??"").toLowerCase().split(/[\s,]+/).filter(Boolean);return t.length>0?t:null}function Z(s){let t=kt(s);if(!t)return i=>i(
{state:"error",code:"bad_relay"});let e=s.getAttribute("ticket-url");return K({relay:t,token:s.getAttribute("token")?.trim(),ticketUrl:e&&new URL(e,document.baseURI).
href,documents:C(s),vendor:s.getAttribute("vendor")})}function kt(s){try{let t=new URL(s.getAttribute("relay")||new URL(".",import.meta.url),document.baseURI);return/^https?:$/.
test(t.protocol)?(t.origin+t.pathname).replace(/\/+$/,""):void 0}catch{return}}var M={en:{statuses:{PENDING:"In progress",COMPLETED:"Completed",ERROR:"Failed"},states:{connecting:"Connecting",live:"Live",offline:"Not connected",error:"Stop\
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
新状态。",none:"暂无文档，新文档将显示在此处。",unknown:"此文档暂无状态。",loading:"正在加载",untitled:"文档"}};function I(s){let t=s.
closest("[lang]")?.lang||document.documentElement.lang||navigator.language||"";return/^zh\b/i.test(t)?"zh":"en"}function N(s,t){return s.codes[t]??s.codes.refused}var O=class{#t=new Map;clear(){this.#t.clear()}put(t,{isNew:e=!1}={}){let i=this.#t.get(t.documentId);return i&&!d(i.event.id,t.id)?!1:(this.#t.set(t.documentId,
{event:t,isNew:e}),this.#t.size>32&&this.#e(),!0)}get rows(){return[...this.#t.values()].sort((t,e)=>d(t.event.id,e.event.id)?1:-1).slice(0,8)}markSeen(){for(let t of this.#t.
values())t.isNew=!1}#e(){this.#t=new Map(this.rows.map(t=>[t.event.documentId,t]))}};var q=new CSSStyleSheet;q.replaceSync(`
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
`);var xt={PENDING:"M12 3a9 9 0 1 0 9 9",COMPLETED:"M4 12.5l5.5 5.5L20 6.5",ERROR:"M6 6l12 12M18 6L6 18"};function h(s,t,e){let i=document.createElement(s);return i.
className=t,i.setAttribute("part",t),e!==void 0&&(i.textContent=e),i}function P(s){let t=String(s).slice(0,640).replace(/[\u202a-\u202e]/g,""),e=Array.from(t.replace(
/\p{Cc}+/gu," "));return e.length>160?`${e.slice(0,160).join("")}…`:e.join("")}function st({status:s,rows:t,emptyText:e,showsReset:i},r,n){let o=h("p","state");
o.append(h("span","dot"),h("span","state-text",r.states[s.state]));let a=[o],c=s.code&&N(r,s.code);if((c||i)&&a.push(h("p","message",c??r.reset)),t.length>0){let u=h(
"ul","list");u.append(...t.map(f=>Tt(f,r,n))),a.push(u)}else c||a.push(h("p","empty",e));return a}function Tt({event:s,isNew:t},e,i){let r=h("li","item");r.part.
add(`item-${String(s.status).toLowerCase()}`),r.dataset.status=s.status,r.classList.toggle("is-new",t);let n=et("title",s.title||s.vendorId||s.documentId);r.append(
St(s.status),n,h("span","status",e.statuses[s.status]??s.status));let o=s.error&&[s.error.code,s.error.message].filter(Boolean).join(": ");s.status==="ERROR"&&o&&
r.append(et("problem",o));let a=new Date(s.time);if(!Number.isNaN(a.valueOf())){let c=h("time","time",Rt(a,i));c.dateTime=s.time,r.append(c)}return r}function et(s,t){
let e=h("bdi",s,P(t));return e.dir="auto",e}function St(s){let t=h("span","mark");t.setAttribute("aria-hidden","true");let e=document.createElementNS("http://ww\
w.w3.org/2000/svg","svg");e.setAttribute("viewBox","0 0 24 24");let i=document.createElementNS("http://www.w3.org/2000/svg","path");return i.setAttribute("d",xt[s]??
"M12 12h.01"),e.append(i),t.append(e),t}function Rt(s,t){let i=s.toDateString()===new Date().toDateString()?{timeStyle:"medium"}:{dateStyle:"medium",timeStyle:"\
short"};return new Intl.DateTimeFormat(t,i).format(s)}var z=class extends HTMLElement{static observedAttributes=["relay","token","ticket-url","document","vendor","lang"];#t=new O;#e={state:"connecting"};#s=null;#i=null;#r=!1;#n=!1;#o=!1;#a="";#c=null;#d=!1;#h=!1;constructor(){
super();let t=this.attachShadow({mode:"open"});t.adoptedStyleSheets=[q];let e=h("p","announcement");e.setAttribute("role","status"),e.setAttribute("aria-live","\
polite"),t.append(h("div","box"),e)}get state(){return{...this.#e}}get documents(){return this.#t.rows.map(({event:t})=>t)}get source(){return this.#s}set source(t){
this.#s=t,this.#l()}connectedCallback(){this.#c=new AbortController;let{signal:t}=this.#c;addEventListener("pagehide",()=>this.#u(),{signal:t}),addEventListener(
"pageshow",({persisted:e})=>e&&this.#l(),{signal:t}),this.#l()}disconnectedCallback(){this.#c.abort(),this.#u()}attributeChangedCallback(t,e,i){e===i||!this.isConnected||
(t==="lang"?this.#b():this.#l())}#u(){this.#i?.(),this.#i=null}#l(){this.#d||(this.#d=!0,queueMicrotask(()=>{if(this.#d=!1,this.#u(),!this.isConnected)return;this.#t.
clear(),this.#r=this.#n=this.#o=!1,this.#f({state:"connecting"});let t=!1,i=(this.#s??Z(this))(r=>!t&&this.#f(r));this.#i=()=>{t=!0,i?.()}}))}#f(t){if(t.documents){
this.#m(),this.#r=!0;for(let e of t.documents)this.#p(e)}else t.event?this.#y(t):t.reset?this.#n=this.#o=!0:t.state&&this.#w(t);this.#b()}#w({state:t,code:e}){t===
"live"&&(this.#r||=C(this)!==null);let i=t===this.#e.state&&e===this.#e.code;if(this.#e=e?{state:t,code:e}:{state:t},i)return;let r=M[I(this)];this.#a=e?N(r,e):
r.states[t],this.#g("docrelay-state",this.state)}#y({event:t,isNews:e=!0}){if(this.#m(),!this.#p(t,{isNew:e})||!e)return;this.#o=!1;let{statuses:i,untitled:r}=M[I(
this)];this.#a=`${P(t.title??r)}: ${i[t.status]??t.status}`,this.#g("docrelay-event",t)}#p(t,e){let i=this.getAttribute("vendor");return(!i||t.vendor===i)&&this.#t.
put({...t},e)}#m(){this.#n&&this.#t.clear(),this.#n=!1}#g(t,e){this.dispatchEvent(new CustomEvent(t,{detail:e,bubbles:!0,composed:!0}))}#b(){this.#h||(this.#h=!0,
queueMicrotask(()=>{this.#h=!1,this.#v()}))}#v(){let t=I(this),e=M[t],[i,r]=this.shadowRoot.children;i.dataset.state=this.#e.state,i.lang=t;let n=this.#t.rows,o={
status:this.#e,rows:n,emptyText:this.#E(e),showsReset:this.#o};i.replaceChildren(...st(o,e,t)),this.#t.markSeen(),r.textContent!==this.#a&&(r.textContent=this.#a)}#E(t){
return this.#r?C(this)?t.unknown:t.none:t.loading}};customElements.get("docrelay-status")||customElements.define("docrelay-status",z);
