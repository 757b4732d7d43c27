// Generated from static/ by `make bundle`: do not edit.
var W={skip:["Skip to the content","跳到内容"],sections:["Sections","栏目"],documents:["Documents","文档"],hooks:["Hooks","接收地址"],notifications:[
"Notifications","通知"],rejects:["Rejects","被拒请求"],help:["Help","帮助"],otherLanguage:["中文","English"],signOut:["Sign out","退出"],off:["Not c\
onnected.","未连接。"],signedOut:["Signed out. The token was deleted from this tab.","已退出。令牌已从此标签页中删除。"],connecting:["Connec\
ting.","正在连接。"],reconnecting:["Reconnecting.","正在重新连接。"],open:["Connected. New events appear immediately.","已连接。新事件会即时显示。"],
reset:["Connected. Some earlier events are no longer available. The documents were loaded again.","已连接。部分较早的事件已不再保留，文档已重新加载。"],
lost:["Connection lost. Retrying in {seconds} s.","连接中断，{seconds} 秒后重试。"],auth_required:["A token is required. Sign in.","需要令牌，请登录。"],
auth_failed:["The token is invalid, expired or revoked, or lacks the scope “events”. Sign in with a new token.","令牌无效、已过期、已撤销，或缺少“events”权限。请使用新令牌登录。"],
not_accepted:["The relay rejected the request for an event stream. Check whether a proxy changes the Accept header.","服务器拒绝了事件流请求。请检查代理是否修改了 Accept 请求头。"],
refused:["The relay rejected the request: {reason}","服务器拒绝了请求：{reason}"],bad_client:["The client ID or the secret is wrong.","客户端 ID 或密钥有误。"],
unreachable:["The relay cannot be reached. Check the network, then try again.","无法连接服务器。请检查网络后重试。"],badStatus:["The relay resp\
onded with status {status}. Try again later.","服务器返回状态 {status}。请稍后重试。"],readOnly:["This token is read-only. Sign in with a token th\
at has the scope “manage”.","此令牌为只读。请使用具有“manage”权限的令牌登录。"],loading:["Loading.","正在加载。"],tryAgain:["Tr\
y again","重试"],search:["Search","搜索"],searchFor:["Title or identifier","标题或标识"],vendor:["Vendor","供应商"],allVendors:["All vendors","全部供应商"],
status:["Status","状态"],ALL:["All","全部"],PENDING:["Pending","处理中"],COMPLETED:["Completed","已完成"],ERROR:["Error","出错"],title:["Title","标题"],
vendorId:["Vendor ID","供应商标识"],updated:["Updated","更新时间"],allShown:["{total} documents","{total} 个文档"],oneShown:["1 document","1 个文档"],
someShown:["{count} of {total} documents","{total} 个文档中的 {count} 个"],keys:["↑ ↓ to move, Enter to open, Esc to go back","↑ ↓ 移动，Enter 打开，Esc 返回"],
onlyNewest:["Only the newest {total} are loaded. To find an older one, search for its complete identifier.","仅加载最新的 {total} 个。要查找更早的文档，请搜索其完整标识。"],
newEvents:["{count} new ↑","{count} 个新事件 ↑"],announcement:["{count} new events. Latest: {title}, {status}","{count} 个新事件。最近：{title}，{status}"],
noDocuments:["No documents yet","还没有文档"],noDocumentsHelp:["Create a hook and give its URL to a vendor. The events appear here.","创建接收地址并将其 URL 提供给供应商，\
事件将显示在这里。"],noMatch:["No document matches the filters","没有符合筛选条件的文档"],clearFilters:["Clear the filters","清除筛选"],
lookUp:["Search the relay for this identifier","在服务器上查找此标识"],notFound:["The relay has no document with this identifier.","服务器没有此标识的文档。"],
perMinute:["Events per minute, last hour","过去一小时每分钟事件数"],chartSummary:["{total} events in the last hour: {PENDING} pending, {COMPLETED} co\
mpleted, {ERROR} errors. Maximum per minute: {maximum}.","过去一小时 {total} 个事件：处理中 {PENDING}，已完成 {COMPLETED}，出错 {ERROR}。每分钟最多 {maximum} 个。"],
chartEmpty:["No events in the last hour.","过去一小时没有事件。"],now:["now","现在"],minutesAgo:["{count} min ago","{count} 分钟前"],back:["Back \
to the documents","返回文档列表"],documentId:["Document ID","文档 ID"],lastEvent:["Last event","最近事件"],vendorTime:["Vendor’s time","供应商时间"],
labels:["Labels","标签"],result:["Result","结果"],error:["Error","错误"],history:["History","历史"],raw:["Raw request","原始请求"],noRaw:["The raw r\
equest of this event is not stored.","此事件的原始请求未保存。"],deliveries:["Deliveries","投递"],noDeliveries:["No deliveries.","没有投递。"],
noDocument:["This document does not exist, or belongs to another client.","此文档不存在，或属于其他客户端。"],hooksHelp:["URLs that your vendors\
 call. Anyone with a URL can send events to it: treat it like a password.","供应商调用的 URL。知道 URL 的人都可以向其发送事件：请像密码一样保管。"],
noHooks:["No hooks yet","还没有接收地址"],copy:["Copy","复制"],copied:["Copied","已复制"],verification:["Verification","验证"],lastCall:["Last cal\
l","最近调用"],lastRejected:["Last rejected call","最近被拒的调用"],notCalled:["none since restart","重启后没有"],notificationsHelp:["URLs that \
the relay calls with each event.","服务器为每个事件调用的 URL。"],noNotifications:["No notifications yet","还没有通知"],endpoint:["Endpoint","端\
点"],format:["Format","格式"],isDefault:["default","默认"],active:["active","正常"],unverified:["not verified","未验证"],disabled:["disabled","已停用"],
lastDeliveries:["Last deliveries","最近投递"],dead:["failed","失败"],delivered:["delivered","已送达"],pending:["waiting","等待"],retry:["Retry","重试"],
sendAgain:["Send again","再次发送"],queued:["Queued","已排队"],nextAttempt:["next attempt {time}","{time}再试"],attempts:["{count} attempts","尝试 {count\
} 次"],failedDeliveries:["Failed deliveries","失败的投递"],noFailedDeliveries:["None","没有"],rejectsHelp:["Requests that could not be parsed, or whose \
signature the hook cannot read. Fix the hook, then replay them.","无法解析的请求，或接收地址无法识别其签名的请求。修正接收地址后可重新处理。"],
noRejects:["No rejected requests","没有被拒的请求"],received:["Received","接收时间"],notVerified:["Not verified: the replay verifies it","未验证：重新处理时会验\
证"],replay:["Replay","重新处理"],replayed:["Replayed as an event of document","已作为以下文档的事件处理："],hook:["Hook","接收地址"],deleted:[
"deleted","已删除"],replayWith:["Replay with the hook","使用此接收地址处理"],more:["Show more","显示更多"],welcome:["The webhooks of all your do\
cument converters, in one live stream.","所有文档转换服务的回调，汇集为一个实时事件流。"],welcomeHelp:["Each vendor reports finished docu\
ments in its own format. docrelay stores these webhooks, shows them here, streams them to your pages and sends them to your servers.","每家供应商以各自的格式通知文档完成。docrela\
y 保存这些回调，在此显示，推送到您的页面，并发送到您的服务器。"],signIn:["Sign in","登录"],token:["Bearer token","令牌"],tokenHelp:[
"creates one. The token is stored in this tab only, and sent in a header, never in a URL.","可创建令牌。令牌只保存在此标签页中，通过请求头发送，绝不出现在 URL 里。"],
byToken:["With a token","使用令牌"],bySecret:["With a client secret","使用客户端密钥"],clientId:["Client ID","客户端 ID"],clientSecret:["Client se\
cret","客户端密钥"],secretHelp:["Exchanged for a token. The secret is not stored.","用于换取令牌，密钥不会被保存。"],noScript:["The dashboar\
d needs JavaScript. Enable it, or use the curl commands below.","面板需要 JavaScript。请启用它，或使用下方的 curl 命令。"],withCurl:["With cu\
rl","使用 curl"],curlFollow:["Follow the stream:","接收事件流："],curlResume:["Resume after the last event you received; “earliest” replays all stored e\
vents:","从最后收到的事件之后继续；“earliest” 重放全部已保存的事件："],curlHook:["Create a hook for a vendor, then call it as the ve\
ndor does:","为供应商创建接收地址，然后像供应商一样调用它："],inAPage:["In your web page","在您的网页中"],pageHelp:["An EventSource\
 cannot send headers, so the token is part of the URL. It reconnects and resumes automatically. Close it after an error of the relay: otherwise the browser repe\
ats a rejected request forever.","EventSource 不能发送请求头，因此令牌是 URL 的一部分。它会自动重连并续传。收到服务器的错误后请关闭它，否则浏览器会无限重复被拒的请求。"],
pageWarning:["URLs appear in proxy logs and browser histories. Give pages short-lived tokens with the scope “events” only, which your server requests from /oaut\
h/token.","URL 会出现在代理日志和浏览历史中。请让您的服务器从 /oauth/token 获取仅含“events”权限的短期令牌供页面使用。"],
furtherReading:["More","更多"],reference:["Reference: all URLs, events and settings","参考：全部 URL、事件与设置"],publicKeys:["Public keys of the \
tokens","令牌公钥"]};var At="docrelay-language",L=re();function g(){return L}function c(s,t={}){return(W[s]?.[L==="zh"?1:0]??s).replace(/\{(\w+)\}/g,(n,o)=>{let i=t[o]??"";return typeof i==
"number"?A(i):i})}function A(s){return s.toLocaleString(L)}function wt(s=document){document.documentElement.lang=L;for(let t of s.querySelectorAll("[data-text]"))
t.textContent=c(t.dataset.text);for(let t of s.querySelectorAll("[data-aria-label]"))t.setAttribute("aria-label",c(t.dataset.ariaLabel));for(let t of s.querySelectorAll(
"[data-placeholder]"))t.placeholder=c(t.dataset.placeholder)}function Nt(){L=L==="zh"?"en":"zh";try{localStorage.setItem(At,L)}catch{}wt()}function re(){try{let s=localStorage.
getItem(At);if(s)return s}catch{}return navigator.language.startsWith("zh")?"zh":"en"}var d=s=>document.getElementById(s);function a(s,t={},...e){let n=document.createElement(s);for(let[o,i]of Object.entries(t))i===void 0||i===!1||(typeof i=="fun\
ction"?n.addEventListener(o,i):n.setAttribute(o,i===!0?"":i));return n.append(...e.flat().filter(o=>o!=null&&o!==!1)),n}function f(s,t=1/0){let e=String(s??"").
replace(/[\u202a-\u202e]/g,"");return a("bdi",{},e.length>t?`${e.slice(0,t)}…`:e)}function x(s){return a("span",{class:"badge","data-kind":s},c(s))}function T(...s){
let e=s.filter(([,n])=>n!=null&&n!==!1&&n!=="").map(([n,o])=>a("div",{},a("dt",{},n),a("dd",{},o)));return a("dl",{class:"facts"},e)}function k(s,t){return a("p\
re",{tabindex:"0",role:"region","aria-label":t},a("bdi",{},String(s??"")))}function G(s,t){return a("button",{type:"button",class:"small",click:async({currentTarget:n})=>{
try{await navigator.clipboard.writeText(s)}catch{getSelection().selectAllChildren(t),document.execCommand("copy")}n.textContent=c("copied"),setTimeout(()=>{n.textContent=
c("copy")},2e3)}},c("copy"))}function y(s,...t){return a("div",{class:"empty"},a("p",{class:"headline"},s),t)}function K(){let s=`curl -H "Authorization: Bearer\
 $TOKEN" -d '{"vendor":"ppj"}' ${location.origin}/hooks`;return k(s,c("withCurl"))}function C(s,t){let e=a("h1",{tabindex:"-1"},c(s));return a("header",{},e,a("\
p",{class:"quiet"},c(t)))}var v=class extends Error{constructor(t){super(`refused: ${t}`),this.code=t}};var _=class extends Error{};var Et="docrelay-token";function X(s){try{sessionStorage.setItem(Et,s)}catch{}}function $t(){try{sessionStorage.removeItem(Et)}catch{}}function Dt(){try{return sessionStorage.
getItem(Et)}catch{return null}}function bt(){if(!location.hash.startsWith("#token="))return null;let s=new URLSearchParams(location.hash.slice(1)).get("token");
return history.replaceState(null,"",location.pathname),s}var ae=3e4,q=class extends Error{constructor(t,e){super(e??`the relay responded with status ${t}`),this.status=t,this.detail=e}},N=class s{#e;#t=Date.now();#s;#n=!1;constructor(t,e){
this.token=t,this.#e=e}static async fromSecret(t){return new s(await Mt(t),t)}async renew(t){if(t!==this.token)return!0;if(!this.#e||Date.now()-this.#t<ae)return!1;
this.#s??=Mt(this.#e).finally(()=>{this.#s=void 0});let e=await this.#s;return this.#n?!1:(this.token=e,this.#t=Date.now(),X(e),!0)}close(){this.#n=!0,this.#e=void 0,
$t()}async request(t,{method:e="GET",body:n,signal:o}={}){let i=this.token,r=await this.#o(t,{method:e,body:n,signal:o});if(r.status===401&&await this.renew(i)&&
(r=await this.#o(t,{method:e,body:n,signal:o})),r.status===401)throw new v("auth_failed");if(r.ok)return r.status===204?void 0:r.json();let l=await r.json().catch(
()=>({}));throw new q(r.status,l.detail??l.message)}#o(t,{method:e,body:n,signal:o}){return fetch(t,{method:e,body:n===void 0?void 0:JSON.stringify(n),headers:{
Authorization:`Bearer ${this.token}`},signal:o,cache:"no-store",credentials:"omit"})}};async function Mt({id:s,secret:t}){let e=new URLSearchParams({grant_type:"\
client_credentials",client_id:s,client_secret:t}),n=await fetch("/oauth/token",{method:"POST",body:e,cache:"no-store",credentials:"omit"});if(n.status===400||n.
status===401)throw new v("bad_client");if(!n.ok)throw new q(n.status);return(await n.json()).access_token}function w(s){return s instanceof v?s.code in W?c(s.code):c("refused",{reason:s.code}):s instanceof q?s.status===403?c("readOnly"):s.detail??c("badStatus",{status:String(
s.status)}):s instanceof TypeError?c("unreachable"):s.message}function z(s,t){let e=a("button",{type:"button",click:t},c("tryAgain"));return a("div",{class:"emp\
ty",role:"alert"},a("p",{class:"headline"},w(s)),a("p",{},e))}var J=class{#e={state:"off",key:"off"};get isRefused(){return this.#e.state==="refused"}show(t){this.#e=t,this.render()}render(){let{state:t,key:e,values:n,error:o}=this.#e,
i=d("state");i.dataset.state=t,i.textContent=o?w(o):c(e,n)}};function ce(s,t,e=Math.random){return Math.min(s*2**Math.max(t-1,0),6e4)*(1+e()/4)}function Q(s,...t){let e=new AbortController;return new Promise(n=>{let o=()=>{
clearTimeout(i),e.abort(),n()},i=setTimeout(o,s);addEventListener("online",o,{signal:e.signal});for(let r of t){if(r.aborted)return o();r.addEventListener("abor\
t",o,{signal:e.signal})}})}var Y=class{#e=0;#t=0;#s;constructor(t=Math.random){this.#s=t,this.retry=3e3}get failures(){return this.#e}get delay(){return ce(this.
retry,this.#e,this.#s)}connected(){this.#e=0}received(){this.#t=0}failed(){this.#e+=1}resetReceived(){return this.#t+=1,this.#e=this.#t-1,this.#t===1}};function O(s){return Number(s.split(".")[1])}var $=["PENDING","COMPLETED","ERROR"];function D(){return Object.fromEntries($.map(s=>[s,0]))}var xt=2e4,Z=1e3,le=3e3,de=90,ue=2e3,H=6e4,tt=class{#e;#t;#s;#n;constructor(t){this.#e=t,this.clear()}clear(){this.#t=new Map,this.#s=void 0,this.#n=0,this.minutes=
new Map,this.isComplete=!0,this.isLoaded=!1}get(t){return this.#t.get(t)}sortAndEvict(){if(!this.#s){this.#s=[...this.#t.values()].sort((t,e)=>e.position-t.position);
for(let t of this.#s.splice(xt+Z))this.#t.delete(t.documentId),this.isComplete=!1}return this.#s}async load(t,e){let n=await t.request(`/documents?limit=${Z}`,{
signal:e}),o=await t.request("/events/counts",{signal:e});this.clear(),this.isLoaded=!0;for(let i of n.documents)this.#i(i,O(i.eventId));for(let{time:i,status:r,
count:l}of o.minutes)this.#r(Date.parse(i),r,l);return this.#n=O(o.lastEventId),this.#e(),this.#o(t,e,n.next),n.lastEventId}async#o(t,e,n){let o=this.#t,i=n;for(;i&&
o.size<xt;){let r=`/documents?limit=${Z}&cursor=${i}`,l=await t.request(r,{signal:e}).catch(()=>{});if(o!==this.#t||e.aborted)return;if(!l){await Q(le,e);continue}
for(let u of l.documents)this.#i(u,O(u.eventId));i=l.next,this.#e()}this.isComplete=!i,this.#e()}add(t){let e=O(t.id);e>this.#n&&this.#r(Date.parse(t.time),t.status,
1);let n=this.#i(t,e);return n&&this.#e(t.documentId),n}#i(t,e){let n=this.#t.get(t.documentId);if(n&&n.position>=e)return!1;let i=[t.title,t.vendorId,t.documentId].
join(`
`).slice(0,ue).toLowerCase();return this.#t.set(t.documentId,{...t,position:e,searchText:i}),this.#s=void 0,this.#t.size>xt+2*Z&&this.sortAndEvict(),!0}#r(t,e,n){
let o=t-t%H;if(Number.isNaN(o))return;let i=this.minutes.get(o)??D();if(i[e]+=n,this.minutes.set(o,i),!(this.minutes.size<=de))for(let r of this.minutes.keys())
r<o-61*H&&this.minutes.delete(r)}};var et=class{constructor(t=""){this.lastEventId=t,this.retry=void 0,this.pending="",this.afterCr=!1,this.startEvent()}startEvent(){this.type="",this.data=[],this.
id=this.lastEventId}*push(t){this.afterCr&&t.startsWith(`
`)&&(t=t.slice(1)),t!==""&&(this.afterCr=t.endsWith("\r"));let e=(this.pending+t).split(/\r\n|\n|\r/);this.pending=e.pop();for(let n of e){if(n!==""){this.parseField(
n);continue}this.lastEventId=this.id,this.data.length>0&&(yield{type:this.type||"message",data:this.data.join(`
`),lastEventId:this.lastEventId}),this.startEvent()}}parseField(t){let e=t.indexOf(":"),n=e<0?t:t.slice(0,e),o=e<0?"":t.slice(e+1).replace(/^ /,"");n==="data"?this.
data.push(o):n==="event"?this.type=o:n==="id"&&!o.includes("\0")?this.id=o:n==="retry"&&/^[0-9]+$/.test(o)&&(this.retry=Number(o))}};async function _t(s,{headers:t,
parser:e,signal:n,silence:o,onOpen:i,onEvent:r,onChunk:l}){let u=new AbortController,h=()=>u.abort(new DOMException(`no data for ${o} ms`,"TimeoutError")),m=setTimeout(
h,o);try{let p=e.lastEventId?{"Last-Event-ID":e.lastEventId}:{},b=await fetch(s,{headers:{Accept:"text/event-stream",...p,...t},cache:"no-store",credentials:"om\
it",signal:AbortSignal.any([n,u.signal])}),V=b.headers.get("content-type")??"";if(b.status!==200||!/^text\/event-stream\s*(;|$)/i.test(V))throw new Error(`expec\
ted an event stream, got status ${b.status} and content type ${JSON.stringify(V)}`);i?.();let ee=new TextDecoder,se=b.body.getReader();for(;;){let{done:ne,value:oe}=await se.
read();if(ne)return;clearTimeout(m),m=setTimeout(h,o);let Lt=ee.decode(oe,{stream:!0});for(let ie of e.push(Lt))r(ie);l?.(Lt)}}finally{clearTimeout(m),u.abort()}}var he=9e4;function qt(s,{token:t,parser:e,signal:n,onOpen:o,onEvent:i,onChunk:r}){return _t(s,{headers:{Authorization:`Bearer ${t}`},parser:e,signal:n,silence:he,
onOpen:o,onChunk:r,onEvent:({type:l,data:u,lastEventId:h})=>{if(l==="error")throw new v(u);if(l==="reset")throw new _("events after this position are no longer \
available");l==="message"&&i({...JSON.parse(u),id:h})}})}async function Ot(s,{signal:t,load:e,onEvent:n,onState:o}){let i=new Y,r,l=!1,u=()=>{i.connected(),o({state:"open",key:l?"reset":"open"}),l=!1};for(;!t.aborted;){
o({state:"waiting",key:i.failures===0?"connecting":"reconnecting"});let{token:h}=s,m,p;try{r??=await e(),m=new et(r),await qt("/events/client",{token:h,parser:m,
signal:t,onOpen:u,onEvent:V=>{i.received(),n(V)}})}catch(b){p=b}if(t.aborted)return;if(r=m?.lastEventId??r,i.retry=m?.retry??i.retry,p instanceof _){if(l=!0,r=void 0,
i.resetReceived())continue}else if(p instanceof v){let b=await me(s,h);if(b)continue;if(b===!1)return o({state:"refused",error:p});i.failed()}else p&&i.failed();
o({state:"waiting",key:"lost",values:{seconds:Math.ceil(i.delay/1e3)}}),await Q(i.delay,t)}}async function me(s,t){try{return await s.renew(t)}catch(e){return e instanceof
v?!1:void 0}}var st=112,U=38,Ut=6,St=st-20,j=60,jt=["COMPLETED","PENDING","ERROR"];function Ft(s,t,e=Date.now()){let n=pe(t,e),o=Math.max(...n.map(({counts:l})=>Rt(l))),i=D();
for(let{counts:l}of n)for(let u of $)i[u]+=l[u];let r=a("figcaption",{},a("h2",{},c("perMinute")),we(i));s.replaceChildren(r,ye(n,{width:ge(s),maximum:o,totals:i}))}
function fe(s){let t=10**Math.floor(Math.log10(Math.max(s,1)));return[1,2,5,10].map(e=>e*t).find(e=>e>=s)}function pe(s,t){let e=t-t%H;return Array.from({length:j},
(n,o)=>{let i=e-(j-1-o)*H;return{time:i,counts:s.get(i)??D()}})}function Rt(s){return $.reduce((t,e)=>t+s[e],0)}function ge(s){return Math.max(260,s.clientWidth-
34)}function ye(s,{width:t,maximum:e,totals:n}){let o=fe(e),i=(t-U)/j,r=S("svg",{viewBox:`0 0 ${t} ${st}`,role:"img",class:"chart"});r.append(Ht(0,St,t)),e>0&&r.
append(Ht(o,Ut,t)),s.forEach((h,m)=>{Rt(h.counts)>0&&r.append(ve(h,{x:U+m*i+1,width:i-2,scale:o}))});for(let h of[60,45,30,15]){let m=c("minutesAgo",{count:h}),
p=h===j?"axis":"axis middle";r.append(S("text",{x:U+(j-h)*i,y:st-3,class:p},m))}r.append(S("text",{x:t,y:st-3,class:"axis end"},c("now")));let l=Rt(n),u=l===0?c(
"chartEmpty"):c("chartSummary",{total:l,maximum:e,...n});return r.setAttribute("aria-label",u),r}function Ht(s,t,e){return S("g",{},S("line",{x1:U,x2:e,y1:t,y2:t,
class:"grid"}),S("text",{x:U-6,y:t+3.5,class:"axis end"},A(s)))}function ve({time:s,counts:t},{x:e,width:n,scale:o}){let i=new Date(s).toLocaleTimeString(g(),{hour:"\
2-digit",minute:"2-digit"}),l=$.filter(m=>t[m]>0).map(m=>`${c(m)} ${A(t[m])}`).join(", "),u=S("g",{},S("title",{},`${i}: ${l}`)),h=St;for(let m of jt.filter(p=>t[p]>
0)){let p=Math.max(t[m]/o*(St-Ut),1.5);h-=p,u.append(S("rect",{x:e,y:h,width:n,height:p,rx:1,"data-kind":m}))}return u}function we(s){let t=jt.map(e=>a("span",{
"data-kind":e},`${c(e)} ${A(s[e])}`));return a("p",{class:"legend"},t)}function S(s,t,...e){let n=document.createElementNS("http://www.w3.org/2000/svg",s);for(let[
o,i]of Object.entries(t))n.setAttribute(o,String(i));return n.append(...e),n}var Ee=["hooks","notifications","rejects","help"];function F(s=location.hash){let[t,e]=s.replace(/^#\/?/,"").split("?"),n=new URLSearchParams(e),o=n.get("status")??
"",i={q:n.get("q")??"",vendor:n.get("vendor")??"",status:$.includes(o)?o:""},[r,l]=t.split("/");return r==="documents"&&l?{page:"document",id:l,filters:i}:{page:Ee.
includes(r)?r:"documents",filters:i}}function nt(s){return`#/${Bt(s)}`}function I(s,t={}){return`#/documents/${s}${Bt(t)}`}function Bt(s){let t=Object.entries(s).
filter(([,e])=>e!=="");return t.length===0?"":`?${new URLSearchParams(t)}`}var be=500,xe=1e4,Se=80,ot=class{#e;#t=[];#s;constructor(t){this.#e=t}add(t){this.#t.push(t),this.#s??=setTimeout(()=>this.#n(),be)}#n(){let t=this.#t.at(-1),e=(t.
title||t.vendorId).slice(0,Se),n={count:this.#t.length,title:e,status:c(t.status)};this.#e.textContent=c("announcement",n),this.#t=[],this.#s=setTimeout(()=>{this.#s=
void 0,this.#t.length>0&&this.#n()},xe)}};var Re=[["day",86400],["hour",3600],["minute",60],["second",1]];function it(s){let t=Math.round((new Date(s)-Date.now())/1e3);if(Number.isNaN(t))return"";let[e,
n]=Re.find(([,i])=>Math.abs(t)>=i)??["second",1];return new Intl.RelativeTimeFormat(g(),{style:"narrow",numeric:"auto"}).format(Math.trunc(t/n),e)}function M(s){
let t=new Date(s);return Number.isNaN(t.valueOf())?"":t.toLocaleString(g(),{dateStyle:"medium",timeStyle:"medium"})}function E(s){return a("time",{datetime:s,title:M(
s)},it(s))}function Pt(){for(let s of document.querySelectorAll("time[datetime]")){let t=it(s.dateTime);s.textContent!==t&&(s.textContent=t)}}var Tt=200;function Vt(s,t){let e=s.error&&[s.error.code,s.error.message].filter(Boolean).join(" "),n=f(s.title||s.vendorId,Tt),o=a("a",{href:I(s.documentId,t),
tabindex:"-1"},n);return a("tr",{role:"row"},B("status",x(s.status)),B("title",o,e&&a("span",{class:"why"},f(e,Tt))),B("vendor",s.vendor),B("vendor-id",f(s.vendorId,
Tt)),B("age",E(s.time)))}function B(s,...t){return a("td",{role:"gridcell",class:s},...t)}function Wt({firstVisible:s,rowHeight:t,viewportHeight:e,count:n}){let o=Math.max(0,s-8),i=Math.min(n,o+Math.ceil(e/t)+16);return{first:o,end:i}}function Gt(s,{
current:t,rowHeight:e,viewportHeight:n,count:o}){let i=Math.max(1,Math.floor(n/e)-2),r={ArrowDown:t+1,ArrowUp:t-1,PageDown:t+i,PageUp:t-i,Home:0,End:o-1};return s in
r?Math.min(Math.max(r[s],0),o-1):void 0}function Kt(s,t,e,n){for(let{documentId:o,position:i}of s){let r=n.get(o);if(e[r]?.position===i)return r-t.get(o)}return 0}var Te=44,ke=2500,Ce=40,rt=class{#e;#t;#s=new Map;#n=new Map;#o=new Map;#i=0;#r;constructor(t){this.#e=t,this.#t=t.tBodies[0],this.documents=[],this.current=void 0,
this.filters={},addEventListener("scroll",()=>this.#u(),{passive:!0}),addEventListener("resize",()=>this.#u(),{passive:!0}),t.addEventListener("keydown",e=>this.#g(
e)),this.#t.addEventListener("focusin",({target:e})=>this.#m(e.closest("tr")?.dataset.id))}show(t){let e=this.firstVisible(),n=e>0?this.documents.slice(e,e+Ce):
[],o=this.#o;this.documents=t,this.#o=new Map(t.map(({documentId:r},l)=>[r,l])),this.#e.setAttribute("aria-rowcount",String(t.length+1)),this.#t.style.height=`${t.
length*this.#a()}px`;let i=Kt(n,o,t,this.#o);i!==0&&scrollBy({top:i*this.#i,behavior:"instant"}),this.#d()}clear(){this.documents=[],this.#o.clear(),this.#s.clear(),
this.#n.clear(),this.#t.replaceChildren()}firstVisible(){if(this.#e.offsetParent===null)return 0;let t=this.#e.tHead.offsetHeight;return Math.max(0,Math.floor((t-
this.#t.getBoundingClientRect().top)/this.#a()))}highlight(t){clearTimeout(this.#n.get(t));let e=()=>{this.#n.delete(t),this.#s.get(t)?.classList.remove("fresh")};
this.#n.set(t,setTimeout(e,ke))}focus(t){let e=this.#o.get(t);if(e===void 0)return;let n=this.#a(),o=this.#t.getBoundingClientRect().top+e*n,i=this.#e.tHead.offsetHeight;
o<i?scrollBy({top:o-i,behavior:"instant"}):o+n>innerHeight&&scrollBy({top:o+n-innerHeight+8,behavior:"instant"}),this.#d(),this.#c(t)?.focus({preventScroll:!0})}#c(t){
return this.#s.get(t)?.querySelector("a")}#a(){let t=this.#t.rows[0]?.getBoundingClientRect().height??0;return t>0&&(this.#i=t),this.#i||Te}#l(){return{rowHeight:this.#a(),
viewportHeight:innerHeight,count:this.documents.length}}#u(){this.#r??=requestAnimationFrame(()=>this.#d())}#d(){if(cancelAnimationFrame(this.#r),this.#r=void 0,
this.#e.offsetParent===null)return;let{rowHeight:t,...e}=this.#l(),n=this.firstVisible(),{first:o,end:i}=Wt({...e,rowHeight:t,firstVisible:n}),r=this.#t.contains(
document.activeElement)?document.activeElement.closest("tr"):void 0;if(this.#h(o,i,t),this.#a()!==t)return this.#u();this.#t.style.height=`${this.documents.length*
t}px`;let l=this.#o.get(this.current)??-1,u=l>=o&&l<i;this.#f(u?this.current:this.documents[Math.min(n,i-1)]?.documentId),r&&!this.#t.contains(document.activeElement)&&
(this.#c(r.dataset.id)??this.#e).focus({preventScroll:!0})}#h(t,e,n){let o=new Set,i=this.#t.firstChild;for(let r=t;r<e;r+=1){let l=this.#p(this.documents[r],r);
o.add(l),l.style.transform=`translateY(${r*n}px)`,l===i?i=i.nextSibling:this.#t.insertBefore(l,i)}for(let[r,l]of this.#s)o.has(l)||(l.remove(),this.#s.delete(r))}#p(t,e){
let n=this.#s.get(t.documentId);if(n?.known!==t||n.language!==g()){let o=Vt(t,this.filters);n?n.replaceChildren(...o.childNodes):n=o,Object.assign(n,{known:t,language:g()}),
n.dataset.id=t.documentId,n.dataset.status=t.status,this.#s.set(t.documentId,n)}return n.setAttribute("aria-rowindex",String(e+2)),n.classList.toggle("fresh",this.#n.
has(t.documentId)),n}#m(t){t&&(this.current=t,this.#f(t))}#f(t){for(let[e,n]of this.#s)n.querySelector("a").tabIndex=e===t?0:-1}#g(t){if(t.altKey||t.ctrlKey||t.
metaKey)return;let e=this.#o.get(this.current)??-1,n=Gt(t.key,{...this.#l(),current:e});n!==void 0&&(t.preventDefault(),this.focus(this.documents[n]?.documentId))}};var Xt={q:"",vendor:"",status:""};function at(s,t){if(!t.q&&!t.vendor&&!t.status)return s;let e=Ie(t);return s.filter(n=>{let{vendor:o,status:i,searchText:r}=n;
return(!t.vendor||o===t.vendor)&&(!t.status||i===t.status)&&(!e||r.includes(e))})}function zt(s,t){let e=D();for(let{status:n}of at(s,{...t,status:""}))e[n]+=1;
return e}function Jt(s,t){let e=new Set(t.vendor?[t.vendor]:[]);for(let{vendor:n}of s)e.add(n);return[...e].sort()}function Ie({q:s}){return s.trim().toLowerCase()}var ct=class{#e;#t=F().filters;#s=new ot(d("announcement"));#n=0;constructor(t){this.#e=t,this.session=void 0,this.table=new rt(d("documents")),this.#o()}#o(){d(
"search").addEventListener("input",({target:t})=>this.#r({q:t.value})),d("search").addEventListener("keydown",t=>this.#c(t)),d("vendor").addEventListener("chang\
e",({target:t})=>this.#r({vendor:t.value}));for(let t of this.#i())t.addEventListener("click",()=>this.#r({status:t.dataset.status}));d("filters").addEventListener(
"submit",t=>t.preventDefault()),d("new-events").addEventListener("click",()=>{scrollTo({top:0,behavior:"instant"}),this.table.focus(this.table.documents[0]?.documentId)}),
addEventListener("scroll",()=>this.table.firstVisible()===0&&this.#a(),{passive:!0})}#i(){return d("statuses").querySelectorAll("button")}#r(t){this.#t={...this.#t,
...t},history.replaceState(null,"",nt(this.#t)),this.render()}restore(t){this.#t=t,d("search").value=t.q,this.render()}#c(t){t.key==="Escape"&&this.#t.q!==""?(t.
preventDefault(),t.target.value="",this.#r({q:""})):(t.key==="ArrowDown"||t.key==="Enter")&&(t.preventDefault(),this.table.documents.length>0?this.table.focus(this.
table.documents[0].documentId):t.key==="Enter"&&this.#t.q&&this.#h())}onEvent(t){this.table.highlight(t.documentId),this.#s.add(t),at([this.#e.get(t.documentId)],
this.#t).length>0&&this.table.firstVisible()>0&&(this.#n+=1)}#a(){this.#n!==0&&(this.#n=0,d("new-events").hidden=!0)}render(){let t=this.#e.sortAndEvict(),e=at(
t,this.#t),n=e.length===0;this.#u(t),d("row-count").textContent=this.#l(e.length,t.length),d("documents").hidden=d("keys").hidden=n,d("new-events").hidden=this.#n===
0,d("new-events").textContent=c("newEvents",{count:this.#n}),d("no-rows").replaceChildren(...n&&this.#e.isLoaded?[this.#d(t.length)]:[]),this.table.filters=this.#t,
this.table.show(e)}#l(t,e){let n=e===1?"oneShown":"allShown",o=c(t<e?"someShown":n,{count:t,total:e});return this.#e.isComplete?o:`${o}. ${c("onlyNewest",{total:e})}`}#u(t){
let e=zt(t,this.#t),n=Object.values(e).reduce((r,l)=>r+l,0);for(let r of this.#i()){let{status:l}=r.dataset;r.setAttribute("aria-pressed",String(l===this.#t.status)),
r.lastElementChild.textContent=A(l?e[l]:n)}let o=d("vendor"),i=Jt(t,this.#t);if(i.join()!==o.dataset.vendors){o.dataset.vendors=i.join();let r=i.map(l=>a("optio\
n",{value:l},l));o.replaceChildren(a("option",{value:"","data-text":"allVendors"},c("allVendors")),...r)}o.value=this.#t.vendor}#d(t){if(t===0)return y(c("noDoc\
uments"),a("p",{},c("noDocumentsHelp")),K());let e=()=>{d("search").value="",this.#r(Xt),d("search").focus()},n=this.#t.q&&!this.#e.isComplete,o=a("p",{class:"a\
ctions"},a("button",{type:"button",click:e},c("clearFilters")),n&&a("button",{type:"button",click:()=>this.#h()},c("lookUp")));return y(c("noMatch"),o)}async#h(){
let t=this.#t.q.trim(),e=`/documents?vendorId=${encodeURIComponent(t)}`,o=(await this.session.request(e).catch(()=>({documents:[]}))).documents[0]?.documentId??
(/^[0-9a-f-]{36}$/i.test(t)?t:void 0);o?location.hash=I(o,this.#t):d("no-rows").append(a("p",{role:"alert"},c("notFound")))}};var Le=1e3,lt=3e3;function P(s){let t=a("code",{},s.documentId.slice(0,8));return a("a",{href:I(s.documentId),"data-key":`document-${s.id}`},t)}function dt(s){let t=s.
notification??s.callback;return t&&a("strong",{},f(t,100))}function ut(s,t,{subject:e,onChange:n}){let o=t.attempts.at(-1),i=o&&[o.status,o.reason].filter(Boolean).
join(" · "),r=t.nextAttempt&&t.state==="pending",l=[t.attempts.length>1&&c("attempts",{count:t.attempts.length}),i&&f(i,300),r&&c("nextAttempt",{time:it(t.nextAttempt)})];
return a("li",{},a("div",{class:"line"},x(t.state),e,E(o?.time??t.createTime),l.filter(Boolean).map(u=>a("span",{class:"quiet"},u)),Ae(s,t,n)))}function Ae(s,t,e){
let n=async()=>{r.disabled=!0;try{await s.request(`/deliveries/${t.id}/retry`,{method:"POST"}),r.textContent=c("queued"),setTimeout(e,Le)}catch(l){r.disabled=!1,
r.after(a("span",{role:"alert"},w(l)))}},o=c(t.state==="delivered"?"sendAgain":"retry"),i={type:"button",class:"small","data-key":`retry-${t.id}`,click:n},r=a("\
button",i,o);return r}function ht(s){let t=[`${s.method}${s.query?` ?${s.query}`:""}`];for(let[n,o]of Object.entries(s.headers??{}))t.push(`${n}: ${o}`);let e=s.body===void 0?s.bodyBase64:
Ne(s.body);return t.join(`
`)+(e?`

${e}`:"")}function Ne(s){try{return JSON.stringify(JSON.parse(s),null,2)}catch{return s}}var Ct=300,$e=50,De=1e3,mt=class{#e;#t;#s;#n;#o=!1;#i=!1;#r=!1;#c;#a=new Set;#l=new Map;constructor(t,e,{id:n,back:o}){this.#e=t,this.#t=e,this.#s=n,this.back=o,
this.#d()}onChange(t){t===this.documentId&&this.#u()}#u(){this.#o?this.#i=!0:this.#d()}async#d(){this.#o=!0,this.#i=!1;try{let t=await this.#h();if(!this.#e.isConnected)
return;this.documentId=t.document.documentId,this.#f(t);let{deliveries:e}=t;!(e instanceof Error)&&e.some(({state:n})=>n==="pending")&&this.#m()}catch(t){this.#c=
void 0;let n=t.status===404?y(c("noDocument")):z(t,()=>this.#d());this.#e.replaceChildren(this.#y(),n)}this.#o=!1,this.#i&&this.#d()}async#h(){let t=`/documents\
/${encodeURIComponent(this.#s)}`,[e,n]=await Promise.all([this.#t.request(t),this.#p(`${t}/events`)]),o=`/deliveries?limit=${$e}&document=${e.documentId}`,i=await this.#t.
request(o).then(r=>r.deliveries,r=>r);return{document:e,events:n,deliveries:i}}async#p(t){let e=[],n;do{let o=await this.#t.request(n?`${t}?cursor=${n}`:t);e.unshift(
...o.events),n=o.next}while(n&&e.length<De);return e}#m(){setTimeout(()=>this.#n.isConnected&&this.#u(),lt)}#f(t){let e=JSON.stringify([t,g()]);e!==this.#c&&this.#g(
t),this.#c=e}#g({document:t,events:e,deliveries:n}){let o=document.activeElement?.dataset?.key;this.#n=a("h1",{tabindex:"-1"},f(t.title||t.vendorId,Ct));let i=[
...e].reverse().map(r=>this.#v(r));this.#e.replaceChildren(this.#y(),a("div",{class:"heading"},this.#n,x(t.status)),Me(t),..._e(t.error),...t.result?[kt("result",
k(JSON.stringify(t.result,null,2),c("result")))]:[],kt("history",a("ol",{class:"history"},i)),kt("deliveries",this.#b(n))),document.title=`${(t.title||t.vendorId).
slice(0,60)} · docrelay`,o?this.#e.querySelector(`[data-key="${o}"]`)?.focus():this.#r||this.#n.focus({preventScroll:!0}),this.#r=!0}#y(){return a("p",{},a("a",
{href:this.back,class:"back"},`← ${c("back")}`))}#v(t){let e=t.error&&[t.error.code,t.error.message].filter(Boolean).join(" "),n=a("div",{}),o=a("summary",{"d\
ata-key":t.eventId},c("raw")),i=()=>this.#w(t.eventId,l,n),r=this.#a.has(t.eventId),l=a("details",{toggle:i,open:r},o,n),u=a("span",{class:"quiet"},M(t.time)),h=[
x(t.status),E(t.time),u,e&&f(e,Ct)];return a("li",{},a("div",{class:"line"},h),l)}async#w(t,e,n){if(!e.open){this.#a.delete(t);return}this.#a.add(t),!n.hasChildNodes()&&
(this.#l.has(t)||this.#l.set(t,this.#E(t)),n.replaceChildren(k(await this.#l.get(t),c("raw"))))}async#E(t){try{return ht(await this.#t.request(`/events/${t}/raw`))}catch(e){
return this.#l.delete(t),e.status===404?c("noRaw"):w(e)}}#b(t){if(t instanceof Error)return a("p",{class:"quiet"},w(t));if(t.length===0)return a("p",{class:"qui\
et"},c("noDeliveries"));let e=()=>this.#u(),n=t.map(o=>ut(this.#t,o,{subject:dt(o)??P(o),onChange:e}));return a("ul",{class:"deliveries"},n)}};function Me(s){let t=a(
"code",{},s.documentId),e=Object.entries(s.labels??{}).map(([i,r])=>f(`${i}: ${r}`)),n=s.title?.length>Ct,o={class:"long",tabindex:"0",role:"region","aria-label":c(
"title")};return T([c("vendor"),s.vendor],[c("vendorId"),a("code",{},f(s.vendorId))],[c("documentId"),a("span",{class:"copyable"},t,G(s.documentId,t))],[c("last\
Event"),[E(s.time),` · ${M(s.time)}`]],[c("vendorTime"),s.vendorTime&&M(s.vendorTime)],[c("labels"),e.length>0&&a("span",{class:"labels"},e)],[c("title"),n&&a(
"div",o,f(s.title))])}function _e(s){if(!s)return[];let t=[s.code,s.message].filter(Boolean).join(": ")||c("ERROR"),e=a("h2",{},c("error"));return[a("section",{
class:"error-box"},e,a("p",{},f(t)))]}function kt(s,t){return a("section",{},a("h2",{},c(s)),t)}var ft=class{#e;#t;constructor(t,e){this.#e=t,this.#t=e}async load(){let t=await It(this.#t),e=t.length>0?a("ul",{class:"cards"},t.map(qe)):Oe();this.#e.replaceChildren(
C("hooks","hooksHelp"),e)}};async function It(s){let t=[],e="/hooks";for(;e;){let n=await s.request(e);t.push(...n.hooks),e=n.next&&`/hooks?cursor=${n.next}`}return t}
function pt(s){return s.name||s.vendor}function qe(s){let t=a("code",{class:"address"},s.url),{lastCall:e,lastRefusal:n}=s,o=a("span",{class:"quiet"},c("notCall\
ed")),i=n&&[E(n.time),` · ${n.status} · `,f(n.reason,300)],r=Object.entries(s.labels).map(([u,h])=>`${u}: ${h}`),l=a("h2",{},f(pt(s),100));return a("li",{class:"\
card"},a("div",{class:"heading"},l,a("span",{class:"tag"},s.vendor)),a("div",{class:"copyable"},t,G(s.url,t)),T([c("verification"),s.verify.type],[c("lastCall"),
e?[E(e.time),` · ${e.status}`]:o],[c("lastRejected"),i],[c("labels"),r.join(", ")]))}function Oe(){return y(c("noHooks"),a("p",{},c("curlHook")),K())}var He=5,Ue=20,gt=class{#e;#t;#s;constructor(t,e){this.#e=t,this.#t=e,this.reload=void 0}invalidate(){this.#s=void 0}async load(){let[{notifications:t},e]=await Promise.
all([this.#t.request("/v2/notification"),this.#t.request(`/deliveries?state=dead&limit=${Ue}`)]),n=await Promise.all(t.map(({name:l})=>this.#n(l))),o=JSON.stringify(
[t,e,n,g()]);if(o===this.#s)return;this.#s=o;let i=document.activeElement?.dataset?.key,r=t.map((l,u)=>this.#o(l,n[u]));this.#e.replaceChildren(C("notifications",
"notificationsHelp"),r.length>0?a("ul",{class:"cards"},r):je(),a("section",{},a("h2",{},c("failedDeliveries")),this.#i(e.deliveries))),i&&this.#e.querySelector(
`[data-key="${i}"]`)?.focus()}async#n(t){let e=`limit=${He}&notification=${encodeURIComponent(t)}`;return(await this.#t.request(`/deliveries?${e}`)).deliveries}#o(t,e){
let{name:n,state:o,isDefault:i,endpoint:r,format:l}=t,u=i&&a("span",{class:"tag"},c("isDefault"));return a("li",{class:"card"},a("div",{class:"heading"},a("h2",
{},n),x(o),u),T([c("endpoint"),a("code",{class:"address"},f(r))],[c("format"),l]),a("h3",{},c("lastDeliveries")),e.length>0?this.#r(e,P):Yt("noDeliveries"))}#i(t){
return t.length===0?Yt("noFailedDeliveries"):this.#r(t,e=>dt(e)??P(e))}#r(t,e){let n=()=>this.reload?.(),o=t.map(i=>ut(this.#t,i,{subject:e(i),onChange:n}));return a(
"ul",{class:"deliveries"},o)}};function Yt(s){return a("p",{class:"quiet"},c(s))}function je(){let t=`curl -H "Authorization: Bearer $TOKEN" -d '{"name":"main",\
"endpoint":"https://app.example.com/webhook","format":"standard","isDefault":true}' ${location.origin}/v2/notification`;return y(c("noNotifications"),k(t,c("wit\
hCurl")))}var yt=class{#e;#t;#s;#n;#o;constructor(t,e){this.#e=t,this.#t=e}async load(){let[t,e]=await Promise.all([this.#t.request("/rejects"),It(this.#t)]);this.#s=e,this.#n=
a("ul",{class:"cards"},this.#i(t)),this.#o=a("p",{role:"status"});let n=t.rejects.length>0?this.#n:y(c("noRejects"));this.#e.replaceChildren(C("rejects","reject\
sHelp"),this.#o,n,this.#r(t))}#i({rejects:t}){return t.map(e=>this.#c(e))}#r({next:t}){if(!t)return"";let n=a("button",{type:"button",click:async()=>{let o=await this.#t.
request(`/rejects?cursor=${t}`);this.#n.append(...this.#i(o)),n.replaceWith(this.#r(o))}},c("more"));return n}#c(t){let e=this.#s.find(({id:i})=>i===t.hook),n=a(
"summary",{},c("raw")),o=a("li",{class:"card"},a("div",{class:"heading"},a("h2",{},f(t.reason,300))),T([c("received"),[E(t.time),` · ${M(t.time)}`]],[c("hook"),
e?f(pt(e),100):c("deleted")],[c("verification"),!t.verified&&c("notVerified")]),a("details",{},n,k(ht(t),c("raw"))));return this.#s.length>0&&o.append(this.#a(t,
e,o)),o}#a(t,e,n){let o=this.#s.map(m=>a("option",{value:m.id},pt(m))),i=e?void 0:a("select",{"aria-label":c("replayWith")},o),r=a("span",{role:"alert",class:"q\
uiet"}),u=a("button",{type:"button",class:"small",click:async()=>{u.disabled=!0;try{await this.#l(t,i?.value,n)}catch(m){u.disabled=!1,r.textContent=w(m)}}},c("\
replay")),h=i&&a("label",{},`${c("replayWith")} `,i);return a("div",{class:"actions"},h,u,r)}async#l(t,e,n){let o=e?`?hook=${encodeURIComponent(e)}`:"",i=`/reje\
cts/${t.id}/replay${o}`,{documentId:r}=await this.#t.request(i,{method:"POST"}),l=a("a",{href:I(r)},r);this.#o.replaceChildren(c("replayed")," ",l),n.remove(),this.#n.
hasChildNodes()||this.#n.replaceWith(y(c("noRejects"))),l.focus()}};var Fe={hooks:ft,notifications:gt,rejects:yt},vt=class{#e;#t=new AbortController;#s=new J;#n=new tt(t=>this.#l(t));#o=new ct(this.#n);#i={};#r=0;#c;constructor(){
this.#s.render()}signIn(t){this.#t.abort(),this.#e?.close(),this.#t=new AbortController,this.#e=t,X(t.token),this.#n.clear(),this.#o.session=t,this.#o.table.clear(),
this.#a(t,this.#t.signal),this.showRoute()}signOut(){this.#t.abort(),this.#e?.close(),this.#e=void 0,this.#n.clear(),this.#o.table.clear(),d("page").replaceChildren(),
history.replaceState(null,"",location.pathname),this.#s.show({state:"off",key:"signedOut"}),this.showRoute(),d("token").focus()}switchLanguage(){Nt(),this.#s.render(),
this.showRoute()}#a(t,e){Ot(t,{signal:e,load:async()=>{let r=await this.#n.load(t,e);return this.updateVisibility(),r},onEvent:r=>this.#n.add(r)&&this.#o.onEvent(
r),onState:r=>{this.#s.show(r),r.state==="refused"&&this.updateVisibility()}})}#l(t){this.#c??=requestAnimationFrame(()=>this.#u()),t&&this.#i.content?.onChange(
t)}#u(){this.#c=void 0,!(!this.#e||this.#i.page!=="documents")&&(this.#o.render(),this.drawChart())}drawChart(){this.#e&&this.#i.page==="documents"&&Ft(d("chart"),
this.#n.minutes)}updateVisibility(){let{page:t}=F(),e=!this.#e||this.#s.isRefused&&!this.#n.isLoaded;d("welcome").hidden=!e,d("sign-in-section").hidden=!e&&!this.#s.
isRefused,d("guide").hidden=!e&&t!=="help",d("guide-heading").hidden=e,d("list").hidden=e||t!=="documents",d("page").hidden=e||t==="documents"||t==="help",d("na\
vigation").hidden=e,d("sign-out").hidden=!this.#e;for(let n of d("navigation").querySelectorAll("a"))n.dataset.page===(t==="document"?"documents":t)?n.setAttribute(
"aria-current","page"):n.removeAttribute("aria-current")}showRoute(){let{page:t,id:e,filters:n}=F(),o=this.#i;if(this.#i={page:t,id:e},o.page==="documents"&&(this.#r=
scrollY),this.updateVisibility(),!this.#e||d("navigation").hidden)return;let i=c(t==="document"?"documents":t);if(document.title=t==="documents"?"docrelay":`${i}\
 · docrelay`,t==="documents"){this.#d(n,o);return}scrollTo({top:0,behavior:"instant"}),t==="help"?d("guide-heading").focus():t==="document"?this.#h(e,n):this.#p(
t,{takesFocus:o.page!==void 0})}#d(t,e){this.#o.restore(t),this.drawChart(),e.page==="document"&&(scrollTo({top:this.#r,behavior:"instant"}),this.#o.table.focus(
e.id))}#h(t,e){let n=this.#m(Qt());this.#i.content=new mt(n,this.#e,{id:t,back:nt(e)})}async#p(t,{takesFocus:e}){let n=this.#i,o=()=>this.#i===n,i=()=>C(t,`${t}\
Help`),r=this.#m(i(),Qt()),l=new Fe[t](r,this.#e),u=async()=>{try{await l.load()}catch(h){l.invalidate?.(),o()&&r.replaceChildren(i(),z(h,u))}};l.reload=()=>o()&&
u(),await u(),t==="notifications"&&this.#f(o,u),o()&&e&&r.querySelector("h1").focus({preventScroll:!0})}#m(...t){let e=a("div",{},t);return d("page").replaceChildren(
e),e}async#f(t,e){for(;t();)await new Promise(n=>setTimeout(n,lt)),t()&&!document.hidden&&await e()}onKey(t){if(t.defaultPrevented||t.altKey||t.ctrlKey||t.metaKey)
return;let{page:e,content:n}=this.#i;t.key==="Escape"&&n&&(location.hash=n.back),!(t.key!=="/"||!this.#e||e!=="documents")&&(t.target.closest("input, select, te\
xtarea")||(t.preventDefault(),d("search").focus()))}};function Qt(){return a("p",{class:"quiet"},c("loading"))}wt();var R=new vt;function te(s,t){s.addEventListener("submit",async e=>{e.preventDefault();let n=[...s.querySelectorAll("input")].map(o=>o.value.trim());d("sig\
n-in-error").textContent="";try{let o=await t(...n);s.reset(),R.signIn(o)}catch(o){d("sign-in-error").textContent=w(o)}})}for(let s of document.querySelectorAll(
".origin"))s.textContent=location.origin;te(d("sign-in-token"),s=>new N(s));te(d("sign-in-client"),(s,t)=>N.fromSecret({id:s,secret:t}));d("sign-out").addEventListener(
"click",()=>R.signOut());d("language").addEventListener("click",()=>R.switchLanguage());d("skip").addEventListener("click",s=>{s.preventDefault(),d("main").focus()});
addEventListener("keydown",s=>R.onKey(s));addEventListener("hashchange",()=>{let s=bt();s?R.signIn(new N(s)):R.showRoute()});setInterval(()=>{Pt(),R.drawChart()},
1e3);var Zt=bt()||Dt();Zt?R.signIn(new N(Zt)):R.updateVisibility();
