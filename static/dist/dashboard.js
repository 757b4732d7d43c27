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
tokens","令牌公钥"]};var Lt="docrelay-language",L=re();function g(){return L}function c(n,t={}){return(W[n]?.[L==="zh"?1:0]??n).replace(/\{(\w+)\}/g,(s,o)=>{let r=t[o]??"";return typeof r==
"number"?A(r):r})}function A(n){return n.toLocaleString(L)}function wt(n=document){document.documentElement.lang=L;for(let t of n.querySelectorAll("[data-text]"))
t.textContent=c(t.dataset.text);for(let t of n.querySelectorAll("[data-aria-label]"))t.setAttribute("aria-label",c(t.dataset.ariaLabel));for(let t of n.querySelectorAll(
"[data-placeholder]"))t.placeholder=c(t.dataset.placeholder)}function At(){L=L==="zh"?"en":"zh";try{localStorage.setItem(Lt,L)}catch{}wt()}function re(){try{let n=localStorage.
getItem(Lt);if(n)return n}catch{}return navigator.language.startsWith("zh")?"zh":"en"}var d=n=>document.getElementById(n);function a(n,t={},...e){let s=document.createElement(n);for(let[o,r]of Object.entries(t))r===void 0||r===!1||(typeof r=="fun\
ction"?s.addEventListener(o,r):s.setAttribute(o,r===!0?"":r));return s.append(...e.flat().filter(o=>o!=null&&o!==!1)),s}function f(n,t=1/0){let e=String(n??"").
replace(/[\u202a-\u202e]/g,"");return a("bdi",{},e.length>t?`${e.slice(0,t)}…`:e)}function x(n){return a("span",{class:"badge","data-kind":n},c(n))}function T(...n){
let e=n.filter(([,s])=>s!=null&&s!==!1&&s!=="").map(([s,o])=>a("div",{},a("dt",{},s),a("dd",{},o)));return a("dl",{class:"facts"},e)}function k(n,t){return a("p\
re",{tabindex:"0",role:"region","aria-label":t},a("bdi",{},String(n??"")))}function G(n,t){return a("button",{type:"button",class:"small",click:async({currentTarget:s})=>{
try{await navigator.clipboard.writeText(n)}catch{getSelection().selectAllChildren(t),document.execCommand("copy")}s.textContent=c("copied"),setTimeout(()=>{s.textContent=
c("copy")},2e3)}},c("copy"))}function y(n,...t){return a("div",{class:"empty"},a("p",{class:"headline"},n),t)}function K(){let n=`curl -H "Authorization: Bearer\
 $TOKEN" -d '{"vendor":"ppj"}' ${location.origin}/hooks`;return k(n,c("withCurl"))}function C(n,t){let e=a("h1",{tabindex:"-1"},c(n));return a("header",{},e,a("\
p",{class:"quiet"},c(t)))}var v=class extends Error{constructor(t){super(`refused: ${t}`),this.code=t}};var _=class extends Error{};var Et="docrelay-token";function X(n){try{sessionStorage.setItem(Et,n)}catch{}}function Nt(){try{sessionStorage.removeItem(Et)}catch{}}function Dt(){try{return sessionStorage.
getItem(Et)}catch{return null}}function bt(){if(!location.hash.startsWith("#token="))return null;let n=new URLSearchParams(location.hash.slice(1)).get("token");
return history.replaceState(null,"",location.pathname),n}var ie=3e4,$=class extends Error{constructor(t,e){super(e??`the relay responded with status ${t}`),this.status=t,this.detail=e}},N=class n{#e;#t=Date.now();#n;#s=!1;constructor(t,e){
this.token=t,this.#e=e}static async fromSecret(t){return new n(await Mt(t),t)}async renew(t){if(t!==this.token)return!0;if(!this.#e||Date.now()-this.#t<ie)return!1;
this.#n??=Mt(this.#e).finally(()=>{this.#n=void 0});let e=await this.#n;return this.#s?!1:(this.token=e,this.#t=Date.now(),X(e),!0)}close(){this.#s=!0,this.#e=void 0,
Nt()}async request(t,{method:e="GET",body:s,signal:o}={}){let r=this.token,i=await this.#o(t,{method:e,body:s,signal:o});if(i.status===401&&await this.renew(r)&&
(i=await this.#o(t,{method:e,body:s,signal:o})),i.status===401)throw new v("auth_failed");if(i.ok)return i.status===204?void 0:i.json();let l=await i.json().catch(
()=>({}));throw new $(i.status,l.detail??l.message)}#o(t,{method:e,body:s,signal:o}){return fetch(t,{method:e,body:s===void 0?void 0:JSON.stringify(s),headers:{
Authorization:`Bearer ${this.token}`},signal:o,cache:"no-store",credentials:"omit"})}};async function Mt({id:n,secret:t}){let e=new URLSearchParams({grant_type:"\
client_credentials",client_id:n,client_secret:t}),s=await fetch("/oauth/token",{method:"POST",body:e,cache:"no-store",credentials:"omit"});if(s.status===400||s.
status===401)throw new v("bad_client");if(!s.ok)throw new $(s.status);return(await s.json()).access_token}function w(n){return n instanceof v?n.code in W?c(n.code):c("refused",{reason:n.code}):n instanceof $?n.status===403?c("readOnly"):n.detail??c("badStatus",{status:String(
n.status)}):n instanceof TypeError?c("unreachable"):n.message}function z(n,t){let e=a("button",{type:"button",click:t},c("tryAgain"));return a("div",{class:"emp\
ty",role:"alert"},a("p",{class:"headline"},w(n)),a("p",{},e))}var J=class{#e={state:"off",key:"off"};get isRefused(){return this.#e.state==="refused"}show(t){this.#e=t,this.render()}render(){let{state:t,key:e,values:s,error:o}=this.#e,
r=d("state");r.dataset.state=t,r.textContent=o?w(o):c(e,s)}};function ae(n,t,e=Math.random){return Math.min(n*2**Math.max(t-1,0),6e4)*(1+e()/4)}function Q(n,...t){let e=new AbortController;return new Promise(s=>{let o=()=>{
clearTimeout(r),e.abort(),s()},r=setTimeout(o,n);addEventListener("online",o,{signal:e.signal});for(let i of t){if(i.aborted)return o();i.addEventListener("abor\
t",o,{signal:e.signal})}})}var Y=class{#e=0;#t=0;#n;constructor(t=Math.random){this.#n=t,this.retry=3e3}get failures(){return this.#e}get delay(){return ae(this.
retry,this.#e,this.#n)}connected(){this.#e=0}received(){this.#t=0}failed(){this.#e+=1}resetReceived(){return this.#t+=1,this.#e=this.#t-1,this.#t===1}};function O(n){return Number(n.split(".")[1])}var D=["PENDING","COMPLETED","ERROR"];function M(){return Object.fromEntries(D.map(n=>[n,0]))}var xt=2e4,Z=1e3,ce=3e3,le=90,de=2e3,H=6e4,tt=class{#e;#t;#n;#s;constructor(t){this.#e=t,this.clear()}clear(){this.#t=new Map,this.#n=void 0,this.#s=0,this.minutes=
new Map,this.isComplete=!0,this.isLoaded=!1}get(t){return this.#t.get(t)}get all(){if(!this.#n){this.#n=[...this.#t.values()].sort((t,e)=>e.position-t.position);
for(let t of this.#n.splice(xt+Z))this.#t.delete(t.documentId),this.isComplete=!1}return this.#n}async load(t,e){let s=await t.request(`/documents?limit=${Z}`,{
signal:e}),o=await t.request("/events/counts",{signal:e});this.clear(),this.isLoaded=!0;for(let r of s.documents)this.#r(r,O(r.eventId));for(let{time:r,status:i,
count:l}of o.minutes)this.#i(Date.parse(r),i,l);return this.#s=O(o.lastEventId),this.#e(),this.#o(t,e,s.next),s.lastEventId}async#o(t,e,s){let o=this.#t,r=s;for(;r&&
o.size<xt;){let i=`/documents?limit=${Z}&cursor=${r}`,l=await t.request(i,{signal:e}).catch(()=>{});if(o!==this.#t||e.aborted)return;if(!l){await Q(ce,e);continue}
for(let u of l.documents)this.#r(u,O(u.eventId));r=l.next,this.#e()}this.isComplete=!r,this.#e()}add(t){let e=O(t.id);e>this.#s&&this.#i(Date.parse(t.time),t.status,
1);let s=this.#r(t,e);return s&&this.#e(t.documentId),s}#r(t,e){let s=this.#t.get(t.documentId);if(s&&s.position>=e)return!1;let r=[t.title,t.vendorId,t.documentId].
join(`
`).slice(0,de).toLowerCase();return this.#t.set(t.documentId,{...t,position:e,searchText:r}),this.#n=void 0,this.#t.size>xt+2*Z&&this.all,!0}#i(t,e,s){let o=t-t%
H;if(Number.isNaN(o))return;let r=this.minutes.get(o)??M();if(r[e]+=s,this.minutes.set(o,r),!(this.minutes.size<=le))for(let i of this.minutes.keys())i<o-61*H&&
this.minutes.delete(i)}};var et=class{constructor(t=""){this.lastEventId=t,this.retry=void 0,this.pending="",this.afterCr=!1,this.startEvent()}startEvent(){this.type="",this.data=[],this.
id=this.lastEventId}*push(t){this.afterCr&&t.startsWith(`
`)&&(t=t.slice(1)),t!==""&&(this.afterCr=t.endsWith("\r"));let e=(this.pending+t).split(/\r\n|\n|\r/);this.pending=e.pop();for(let s of e){if(s!==""){this.parseField(
s);continue}this.lastEventId=this.id,this.data.length>0&&(yield{type:this.type||"message",data:this.data.join(`
`),lastEventId:this.lastEventId}),this.startEvent()}}parseField(t){let e=t.indexOf(":"),s=e<0?t:t.slice(0,e),o=e<0?"":t.slice(e+1).replace(/^ /,"");s==="data"?this.
data.push(o):s==="event"?this.type=o:s==="id"&&!o.includes("\0")?this.id=o:s==="retry"&&/^[0-9]+$/.test(o)&&(this.retry=Number(o))}};async function qt(n,{headers:t,
parser:e,signal:s,silence:o,onOpen:r,onEvent:i,onChunk:l}){let u=new AbortController,h=()=>u.abort(new DOMException(`no data for ${o} ms`,"TimeoutError")),m=setTimeout(
h,o);try{let p=e.lastEventId?{"Last-Event-ID":e.lastEventId}:{},b=await fetch(n,{headers:{Accept:"text/event-stream",...p,...t},cache:"no-store",credentials:"om\
it",signal:AbortSignal.any([s,u.signal])}),V=b.headers.get("content-type")??"";if(b.status!==200||!/^text\/event-stream\s*(;|$)/i.test(V))throw new Error(`expec\
ted an event stream, got status ${b.status} and content type ${JSON.stringify(V)}`);r?.();let te=new TextDecoder,ee=b.body.getReader();for(;;){let{done:ne,value:se}=await ee.
read();if(ne)return;clearTimeout(m),m=setTimeout(h,o);let It=te.decode(se,{stream:!0});for(let oe of e.push(It))i(oe);l?.(It)}}finally{clearTimeout(m),u.abort()}}var ue=9e4;function _t(n,{token:t,parser:e,signal:s,onOpen:o,onEvent:r,onChunk:i}){return qt(n,{headers:{Authorization:`Bearer ${t}`},parser:e,signal:s,silence:ue,
onOpen:o,onChunk:i,onEvent:({type:l,data:u,lastEventId:h})=>{if(l==="error")throw new v(u);if(l==="reset")throw new _("events after this position are no longer \
available");l==="message"&&r({...JSON.parse(u),id:h})}})}async function $t(n,{signal:t,load:e,onEvent:s,onState:o}){let r=new Y,i,l=!1,u=()=>{r.connected(),o({state:"open",key:l?"reset":"open"}),l=!1};for(;!t.aborted;){
o({state:"waiting",key:r.failures===0?"connecting":"reconnecting"});let{token:h}=n,m,p;try{i??=await e(),m=new et(i),await _t("/events/client",{token:h,parser:m,
signal:t,onOpen:u,onEvent:V=>{r.received(),s(V)}})}catch(b){p=b}if(t.aborted)return;if(i=m?.lastEventId??i,r.retry=m?.retry??r.retry,p instanceof _){if(l=!0,i=void 0,
r.resetReceived())continue}else if(p instanceof v){let b=await he(n,h);if(b)continue;if(b===!1)return o({state:"refused",error:p});r.failed()}else p&&r.failed();
o({state:"waiting",key:"lost",values:{seconds:Math.ceil(r.delay/1e3)}}),await Q(r.delay,t)}}async function he(n,t){try{return await n.renew(t)}catch(e){return e instanceof
v?!1:void 0}}var nt=112,U=38,Ht=6,St=nt-20,j=60,Ut=["COMPLETED","PENDING","ERROR"];function jt(n,t,e=Date.now()){let s=fe(t,e),o=Math.max(...s.map(({counts:l})=>Rt(l))),r=M();
for(let{counts:l}of s)for(let u of D)r[u]+=l[u];let i=a("figcaption",{},a("h2",{},c("perMinute")),ve(r));n.replaceChildren(i,ge(s,{width:pe(n),maximum:o,totals:r}))}
function me(n){let t=10**Math.floor(Math.log10(Math.max(n,1)));return[1,2,5,10].map(e=>e*t).find(e=>e>=n)}function fe(n,t){let e=t-t%H;return Array.from({length:j},
(s,o)=>{let r=e-(j-1-o)*H;return{time:r,counts:n.get(r)??M()}})}function Rt(n){return D.reduce((t,e)=>t+n[e],0)}function pe(n){return Math.max(260,n.clientWidth-
34)}function ge(n,{width:t,maximum:e,totals:s}){let o=me(e),r=(t-U)/j,i=S("svg",{viewBox:`0 0 ${t} ${nt}`,role:"img",class:"chart"});i.append(Ot(0,St,t)),e>0&&i.
append(Ot(o,Ht,t)),n.forEach((h,m)=>{Rt(h.counts)>0&&i.append(ye(h,{x:U+m*r+1,width:r-2,scale:o}))});for(let h of[60,45,30,15]){let m=c("minutesAgo",{count:h}),
p=h===j?"axis":"axis middle";i.append(S("text",{x:U+(j-h)*r,y:nt-3,class:p},m))}i.append(S("text",{x:t,y:nt-3,class:"axis end"},c("now")));let l=Rt(s),u=l===0?c(
"chartEmpty"):c("chartSummary",{total:l,maximum:e,...s});return i.setAttribute("aria-label",u),i}function Ot(n,t,e){return S("g",{},S("line",{x1:U,x2:e,y1:t,y2:t,
class:"grid"}),S("text",{x:U-6,y:t+3.5,class:"axis end"},A(n)))}function ye({time:n,counts:t},{x:e,width:s,scale:o}){let r=new Date(n).toLocaleTimeString(g(),{hour:"\
2-digit",minute:"2-digit"}),l=D.filter(m=>t[m]>0).map(m=>`${c(m)} ${A(t[m])}`).join(", "),u=S("g",{},S("title",{},`${r}: ${l}`)),h=St;for(let m of Ut.filter(p=>t[p]>
0)){let p=Math.max(t[m]/o*(St-Ht),1.5);h-=p,u.append(S("rect",{x:e,y:h,width:s,height:p,rx:1,"data-kind":m}))}return u}function ve(n){let t=Ut.map(e=>a("span",{
"data-kind":e},`${c(e)} ${A(n[e])}`));return a("p",{class:"legend"},t)}function S(n,t,...e){let s=document.createElementNS("http://www.w3.org/2000/svg",n);for(let[
o,r]of Object.entries(t))s.setAttribute(o,String(r));return s.append(...e),s}var we=["hooks","notifications","rejects","help"];function F(n=location.hash){let[t,e]=n.replace(/^#\/?/,"").split("?"),s=new URLSearchParams(e),o=s.get("status")??
"",r={q:s.get("q")??"",vendor:s.get("vendor")??"",status:D.includes(o)?o:""},[i,l]=t.split("/");return i==="documents"&&l?{page:"document",id:l,filters:r}:{page:we.
includes(i)?i:"documents",filters:r}}function st(n){return`#/${Ft(n)}`}function I(n,t={}){return`#/documents/${n}${Ft(t)}`}function Ft(n){let t=Object.entries(n).
filter(([,e])=>e!=="");return t.length===0?"":`?${new URLSearchParams(t)}`}var Ee=500,be=1e4,xe=80,ot=class{#e;#t=[];#n;constructor(t){this.#e=t}add(t){this.#t.push(t),this.#n??=setTimeout(()=>this.#s(),Ee)}#s(){let t=this.#t.at(-1),e=(t.
title||t.vendorId).slice(0,xe),s={count:this.#t.length,title:e,status:c(t.status)};this.#e.textContent=c("announcement",s),this.#t=[],this.#n=setTimeout(()=>{this.#n=
void 0,this.#t.length>0&&this.#s()},be)}};var Se=[["day",86400],["hour",3600],["minute",60],["second",1]];function rt(n){let t=Math.round((new Date(n)-Date.now())/1e3);if(Number.isNaN(t))return"";let[e,
s]=Se.find(([,r])=>Math.abs(t)>=r)??["second",1];return new Intl.RelativeTimeFormat(g(),{style:"narrow",numeric:"auto"}).format(Math.trunc(t/s),e)}function q(n){
let t=new Date(n);return Number.isNaN(t.valueOf())?"":t.toLocaleString(g(),{dateStyle:"medium",timeStyle:"medium"})}function E(n){return a("time",{datetime:n,title:q(
n)},rt(n))}function Bt(){for(let n of document.querySelectorAll("time[datetime]")){let t=rt(n.dateTime);n.textContent!==t&&(n.textContent=t)}}var Tt=200;function Pt(n,t){let e=n.error&&[n.error.code,n.error.message].filter(Boolean).join(" "),s=f(n.title||n.vendorId,Tt),o=a("a",{href:I(n.documentId,t),
tabindex:"-1"},s);return a("tr",{role:"row"},B("status",x(n.status)),B("title",o,e&&a("span",{class:"why"},f(e,Tt))),B("vendor",n.vendor),B("vendor-id",f(n.vendorId,
Tt)),B("age",E(n.time)))}function B(n,...t){return a("td",{role:"gridcell",class:n},...t)}function Vt({firstVisible:n,rowHeight:t,viewportHeight:e,count:s}){let o=Math.max(0,n-8),r=Math.min(s,o+Math.ceil(e/t)+16);return{first:o,end:r}}function Wt(n,{
current:t,rowHeight:e,viewportHeight:s,count:o}){let r=Math.max(1,Math.floor(s/e)-2),i={ArrowDown:t+1,ArrowUp:t-1,PageDown:t+r,PageUp:t-r,Home:0,End:o-1};return n in
i?Math.min(Math.max(i[n],0),o-1):void 0}function Gt(n,t,e,s){for(let{documentId:o,position:r}of n){let i=s.get(o);if(e[i]?.position===r)return i-t.get(o)}return 0}var Re=44,Te=2500,ke=40,it=class{#e;#t;#n=new Map;#s=new Map;#o=new Map;#r=0;#i;constructor(t){this.#e=t,this.#t=t.tBodies[0],this.documents=[],this.current=void 0,
this.filters={},addEventListener("scroll",()=>this.#u(),{passive:!0}),addEventListener("resize",()=>this.#u(),{passive:!0}),t.addEventListener("keydown",e=>this.#g(
e)),this.#t.addEventListener("focusin",({target:e})=>this.#m(e.closest("tr")?.dataset.id))}show(t){let e=this.firstVisible(),s=e>0?this.documents.slice(e,e+ke):
[],o=this.#o;this.documents=t,this.#o=new Map(t.map(({documentId:i},l)=>[i,l])),this.#e.setAttribute("aria-rowcount",String(t.length+1)),this.#t.style.height=`${t.
length*this.#a()}px`;let r=Gt(s,o,t,this.#o);r!==0&&scrollBy({top:r*this.#r,behavior:"instant"}),this.#d()}clear(){this.documents=[],this.#o.clear(),this.#n.clear(),
this.#s.clear(),this.#t.replaceChildren()}firstVisible(){if(this.#e.offsetParent===null)return 0;let t=this.#e.tHead.offsetHeight;return Math.max(0,Math.floor((t-
this.#t.getBoundingClientRect().top)/this.#a()))}highlight(t){clearTimeout(this.#s.get(t));let e=()=>{this.#s.delete(t),this.#n.get(t)?.classList.remove("fresh")};
this.#s.set(t,setTimeout(e,Te))}focus(t){let e=this.#o.get(t);if(e===void 0)return;let s=this.#a(),o=this.#t.getBoundingClientRect().top+e*s,r=this.#e.tHead.offsetHeight;
o<r?scrollBy({top:o-r,behavior:"instant"}):o+s>innerHeight&&scrollBy({top:o+s-innerHeight+8,behavior:"instant"}),this.#d(),this.#c(t)?.focus({preventScroll:!0})}#c(t){
return this.#n.get(t)?.querySelector("a")}#a(){let t=this.#t.rows[0]?.getBoundingClientRect().height??0;return t>0&&(this.#r=t),this.#r||Re}#l(){return{rowHeight:this.#a(),
viewportHeight:innerHeight,count:this.documents.length}}#u(){this.#i??=requestAnimationFrame(()=>this.#d())}#d(){if(cancelAnimationFrame(this.#i),this.#i=void 0,
this.#e.offsetParent===null)return;let{rowHeight:t,...e}=this.#l(),s=this.firstVisible(),{first:o,end:r}=Vt({...e,rowHeight:t,firstVisible:s}),i=this.#t.contains(
document.activeElement)?document.activeElement.closest("tr"):void 0;if(this.#h(o,r,t),this.#a()!==t)return this.#u();this.#t.style.height=`${this.documents.length*
t}px`;let l=this.#o.get(this.current)??-1,u=l>=o&&l<r;this.#f(u?this.current:this.documents[Math.min(s,r-1)]?.documentId),i&&!this.#t.contains(document.activeElement)&&
(this.#c(i.dataset.id)??this.#e).focus({preventScroll:!0})}#h(t,e,s){let o=new Set,r=this.#t.firstChild;for(let i=t;i<e;i+=1){let l=this.#p(this.documents[i],i);
o.add(l),l.style.transform=`translateY(${i*s}px)`,l===r?r=r.nextSibling:this.#t.insertBefore(l,r)}for(let[i,l]of this.#n)o.has(l)||(l.remove(),this.#n.delete(i))}#p(t,e){
let s=this.#n.get(t.documentId);if(s?.known!==t||s.language!==g()){let o=Pt(t,this.filters);s?s.replaceChildren(...o.childNodes):s=o,Object.assign(s,{known:t,language:g()}),
s.dataset.id=t.documentId,s.dataset.status=t.status,this.#n.set(t.documentId,s)}return s.setAttribute("aria-rowindex",String(e+2)),s.classList.toggle("fresh",this.#s.
has(t.documentId)),s}#m(t){t&&(this.current=t,this.#f(t))}#f(t){for(let[e,s]of this.#n)s.querySelector("a").tabIndex=e===t?0:-1}#g(t){if(t.altKey||t.ctrlKey||t.
metaKey)return;let e=this.#o.get(this.current)??-1,s=Wt(t.key,{...this.#l(),current:e});s!==void 0&&(t.preventDefault(),this.focus(this.documents[s]?.documentId))}};var Kt={q:"",vendor:"",status:""};function at(n,t){if(!t.q&&!t.vendor&&!t.status)return n;let e=Ce(t);return n.filter(s=>{let{vendor:o,status:r,searchText:i}=s;
return(!t.vendor||o===t.vendor)&&(!t.status||r===t.status)&&(!e||i.includes(e))})}function Xt(n,t){let e=M();for(let{status:s}of at(n,{...t,status:""}))e[s]+=1;
return e}function zt(n,t){let e=new Set(t.vendor?[t.vendor]:[]);for(let{vendor:s}of n)e.add(s);return[...e].sort()}function Ce({q:n}){return n.trim().toLowerCase()}var ct=class{#e;#t=F().filters;#n=new ot(d("announcement"));#s=0;constructor(t){this.#e=t,this.session=void 0,this.table=new it(d("documents")),this.#o()}#o(){d(
"search").addEventListener("input",({target:t})=>this.#i({q:t.value})),d("search").addEventListener("keydown",t=>this.#c(t)),d("vendor").addEventListener("chang\
e",({target:t})=>this.#i({vendor:t.value}));for(let t of this.#r())t.addEventListener("click",()=>this.#i({status:t.dataset.status}));d("filters").addEventListener(
"submit",t=>t.preventDefault()),d("new-events").addEventListener("click",()=>{scrollTo({top:0,behavior:"instant"}),this.table.focus(this.table.documents[0]?.documentId)}),
addEventListener("scroll",()=>this.table.firstVisible()===0&&this.#a(),{passive:!0})}#r(){return d("statuses").querySelectorAll("button")}#i(t){this.#t={...this.#t,
...t},history.replaceState(null,"",st(this.#t)),this.render()}restore(t){this.#t=t,d("search").value=t.q,this.render()}#c(t){t.key==="Escape"&&this.#t.q!==""?(t.
preventDefault(),t.target.value="",this.#i({q:""})):(t.key==="ArrowDown"||t.key==="Enter")&&(t.preventDefault(),this.table.documents.length>0?this.table.focus(this.
table.documents[0].documentId):t.key==="Enter"&&this.#t.q&&this.#h())}onEvent(t){this.table.highlight(t.documentId),this.#n.add(t),at([this.#e.get(t.documentId)],
this.#t).length>0&&this.table.firstVisible()>0&&(this.#s+=1)}#a(){this.#s!==0&&(this.#s=0,d("new-events").hidden=!0)}render(){let t=this.#e.all,e=at(t,this.#t),
s=e.length===0;this.#u(t),d("row-count").textContent=this.#l(e.length,t.length),d("documents").hidden=d("keys").hidden=s,d("new-events").hidden=this.#s===0,d("n\
ew-events").textContent=c("newEvents",{count:this.#s}),d("no-rows").replaceChildren(...s&&this.#e.isLoaded?[this.#d(t.length)]:[]),this.table.filters=this.#t,this.
table.show(e)}#l(t,e){let s=e===1?"oneShown":"allShown",o=c(t<e?"someShown":s,{count:t,total:e});return this.#e.isComplete?o:`${o}. ${c("onlyNewest",{total:e})}`}#u(t){
let e=Xt(t,this.#t),s=Object.values(e).reduce((i,l)=>i+l,0);for(let i of this.#r()){let{status:l}=i.dataset;i.setAttribute("aria-pressed",String(l===this.#t.status)),
i.lastElementChild.textContent=A(l?e[l]:s)}let o=d("vendor"),r=zt(t,this.#t);if(r.join()!==o.dataset.vendors){o.dataset.vendors=r.join();let i=r.map(l=>a("optio\
n",{value:l},l));o.replaceChildren(a("option",{value:"","data-text":"allVendors"},c("allVendors")),...i)}o.value=this.#t.vendor}#d(t){if(t===0)return y(c("noDoc\
uments"),a("p",{},c("noDocumentsHelp")),K());let e=()=>{d("search").value="",this.#i(Kt),d("search").focus()},s=this.#t.q&&!this.#e.isComplete,o=a("p",{class:"a\
ctions"},a("button",{type:"button",click:e},c("clearFilters")),s&&a("button",{type:"button",click:()=>this.#h()},c("lookUp")));return y(c("noMatch"),o)}async#h(){
let t=this.#t.q.trim(),e=`/documents?vendorId=${encodeURIComponent(t)}`,o=(await this.session.request(e).catch(()=>({documents:[]}))).documents[0]?.documentId??
(/^[0-9a-f-]{36}$/i.test(t)?t:void 0);o?location.hash=I(o,this.#t):d("no-rows").append(a("p",{role:"alert"},c("notFound")))}};var Ie=1e3,lt=3e3;function P(n){let t=a("code",{},n.documentId.slice(0,8));return a("a",{href:I(n.documentId),"data-key":`document-${n.id}`},t)}function dt(n){let t=n.
notification??n.callback;return t&&a("strong",{},f(t,100))}function ut(n,t,{subject:e,onChange:s}){let o=t.attempts.at(-1),r=o&&[o.status,o.reason].filter(Boolean).
join(" · "),i=t.nextAttempt&&t.state==="pending",l=[t.attempts.length>1&&c("attempts",{count:t.attempts.length}),r&&f(r,300),i&&c("nextAttempt",{time:rt(t.nextAttempt)})];
return a("li",{},a("div",{class:"line"},x(t.state),e,E(o?.time??t.createTime),l.filter(Boolean).map(u=>a("span",{class:"quiet"},u)),Le(n,t,s)))}function Le(n,t,e){
let s=async()=>{i.disabled=!0;try{await n.request(`/deliveries/${t.id}/retry`,{method:"POST"}),i.textContent=c("queued"),setTimeout(e,Ie)}catch(l){i.disabled=!1,
i.after(a("span",{role:"alert"},w(l)))}},o=c(t.state==="delivered"?"sendAgain":"retry"),r={type:"button",class:"small","data-key":`retry-${t.id}`,click:s},i=a("\
button",r,o);return i}function ht(n){let t=[`${n.method}${n.query?` ?${n.query}`:""}`];for(let[s,o]of Object.entries(n.headers??{}))t.push(`${s}: ${o}`);let e=n.body===void 0?n.bodyBase64:
Ae(n.body);return t.join(`
`)+(e?`

${e}`:"")}function Ae(n){try{return JSON.stringify(JSON.parse(n),null,2)}catch{return n}}var Ct=300,Ne=50,mt=class{#e;#t;#n;#s;#o=!1;#r=!1;#i=!1;#c;#a=new Set;#l=new Map;constructor(t,e,{id:s,back:o}){this.#e=t,this.#t=e,this.#n=s,this.back=o,this.#d()}onChange(t){
t===this.documentId&&this.#u()}#u(){this.#o?this.#r=!0:this.#d()}async#d(){this.#o=!0,this.#r=!1;try{let t=await this.#h();if(!this.#e.isConnected)return;this.documentId=
t.document.documentId,this.#m(t);let{deliveries:e}=t;!(e instanceof Error)&&e.some(({state:s})=>s==="pending")&&this.#p()}catch(t){this.#c=void 0;let s=t.status===
404?y(c("noDocument")):z(t,()=>this.#d());this.#e.replaceChildren(this.#g(),s)}this.#o=!1,this.#r&&this.#d()}async#h(){let t=`/documents/${encodeURIComponent(this.#n)}`,
[e,{events:s}]=await Promise.all([this.#t.request(t),this.#t.request(`${t}/events`)]),o=`/deliveries?limit=${Ne}&document=${e.documentId}`,r=await this.#t.request(
o).then(i=>i.deliveries,i=>i);return{document:e,events:s,deliveries:r}}#p(){setTimeout(()=>this.#s.isConnected&&this.#u(),lt)}#m(t){let e=JSON.stringify([t,g()]);
e!==this.#c&&this.#f(t),this.#c=e}#f({document:t,events:e,deliveries:s}){let o=document.activeElement?.dataset?.key;this.#s=a("h1",{tabindex:"-1"},f(t.title||t.
vendorId,Ct));let r=[...e].reverse().map(i=>this.#y(i));this.#e.replaceChildren(this.#g(),a("div",{class:"heading"},this.#s,x(t.status)),De(t),...Me(t.error),...t.
result?[kt("result",k(JSON.stringify(t.result,null,2),c("result")))]:[],kt("history",a("ol",{class:"history"},r)),kt("deliveries",this.#E(s))),document.title=`${(t.
title||t.vendorId).slice(0,60)} · docrelay`,o?this.#e.querySelector(`[data-key="${o}"]`)?.focus():this.#i||this.#s.focus({preventScroll:!0}),this.#i=!0}#g(){return a(
"p",{},a("a",{href:this.back,class:"back"},`← ${c("back")}`))}#y(t){let e=t.error&&[t.error.code,t.error.message].filter(Boolean).join(" "),s=a("div",{}),o=a(
"summary",{"data-key":t.eventId},c("raw")),r=()=>this.#v(t.eventId,l,s),i=this.#a.has(t.eventId),l=a("details",{toggle:r,open:i},o,s),u=a("span",{class:"quiet"},
q(t.time)),h=[x(t.status),E(t.time),u,e&&f(e,Ct)];return a("li",{},a("div",{class:"line"},h),l)}async#v(t,e,s){if(!e.open){this.#a.delete(t);return}this.#a.add(
t),!s.hasChildNodes()&&(this.#l.has(t)||this.#l.set(t,this.#w(t)),s.replaceChildren(k(await this.#l.get(t),c("raw"))))}async#w(t){try{return ht(await this.#t.request(
`/events/${t}/raw`))}catch(e){return this.#l.delete(t),e.status===404?c("noRaw"):w(e)}}#E(t){if(t instanceof Error)return a("p",{class:"quiet"},w(t));if(t.length===
0)return a("p",{class:"quiet"},c("noDeliveries"));let e=()=>this.#u(),s=t.map(o=>ut(this.#t,o,{subject:dt(o)??P(o),onChange:e}));return a("ul",{class:"deliverie\
s"},s)}};function De(n){let t=a("code",{},n.documentId),e=Object.entries(n.labels??{}).map(([r,i])=>f(`${r}: ${i}`)),s=n.title?.length>Ct,o={class:"long",tabindex:"\
0",role:"region","aria-label":c("title")};return T([c("vendor"),n.vendor],[c("vendorId"),a("code",{},f(n.vendorId))],[c("documentId"),a("span",{class:"copyable"},
t,G(n.documentId,t))],[c("lastEvent"),[E(n.time),` · ${q(n.time)}`]],[c("vendorTime"),n.vendorTime&&q(n.vendorTime)],[c("labels"),e.length>0&&a("span",{class:"\
labels"},e)],[c("title"),s&&a("div",o,f(n.title))])}function Me(n){if(!n)return[];let t=[n.code,n.message].filter(Boolean).join(": ")||c("ERROR"),e=a("h2",{},c(
"error"));return[a("section",{class:"error-box"},e,a("p",{},f(t)))]}function kt(n,t){return a("section",{},a("h2",{},c(n)),t)}var ft=class{#e;#t;constructor(t,e){this.#e=t,this.#t=e}async load(){let{hooks:t}=await this.#t.request("/hooks"),e=t.length>0?a("ul",{class:"cards"},t.map(qe)):
_e();this.#e.replaceChildren(C("hooks","hooksHelp"),e)}};function pt(n){return n.name||n.vendor}function qe(n){let t=a("code",{class:"address"},n.url),{lastCall:e,
lastRefusal:s}=n,o=a("span",{class:"quiet"},c("notCalled")),r=s&&[E(s.time),` · ${s.status} · `,f(s.reason,300)],i=Object.entries(n.labels).map(([u,h])=>`${u}\
: ${h}`),l=a("h2",{},f(pt(n),100));return a("li",{class:"card"},a("div",{class:"heading"},l,a("span",{class:"tag"},n.vendor)),a("div",{class:"copyable"},t,G(n.url,
t)),T([c("verification"),n.verify.type],[c("lastCall"),e?[E(e.time),` · ${e.status}`]:o],[c("lastRejected"),r],[c("labels"),i.join(", ")]))}function _e(){return y(
c("noHooks"),a("p",{},c("curlHook")),K())}var $e=5,Oe=20,gt=class{#e;#t;#n;constructor(t,e){this.#e=t,this.#t=e,this.reload=void 0}invalidate(){this.#n=void 0}async load(){let[{notifications:t},e]=await Promise.
all([this.#t.request("/v2/notification"),this.#t.request(`/deliveries?state=dead&limit=${Oe}`)]),s=await Promise.all(t.map(({name:l})=>this.#s(l))),o=JSON.stringify(
[t,e,s,g()]);if(o===this.#n)return;this.#n=o;let r=document.activeElement?.dataset?.key,i=t.map((l,u)=>this.#o(l,s[u]));this.#e.replaceChildren(C("notifications",
"notificationsHelp"),i.length>0?a("ul",{class:"cards"},i):He(),a("section",{},a("h2",{},c("failedDeliveries")),this.#r(e.deliveries))),r&&this.#e.querySelector(
`[data-key="${r}"]`)?.focus()}async#s(t){let e=`limit=${$e}&notification=${encodeURIComponent(t)}`;return(await this.#t.request(`/deliveries?${e}`)).deliveries}#o(t,e){
let{name:s,state:o,isDefault:r,endpoint:i,format:l}=t,u=r&&a("span",{class:"tag"},c("isDefault"));return a("li",{class:"card"},a("div",{class:"heading"},a("h2",
{},s),x(o),u),T([c("endpoint"),a("code",{class:"address"},f(i))],[c("format"),l]),a("h3",{},c("lastDeliveries")),e.length>0?this.#i(e,P):Jt("noDeliveries"))}#r(t){
return t.length===0?Jt("noFailedDeliveries"):this.#i(t,e=>dt(e)??P(e))}#i(t,e){let s=()=>this.reload?.(),o=t.map(r=>ut(this.#t,r,{subject:e(r),onChange:s}));return a(
"ul",{class:"deliveries"},o)}};function Jt(n){return a("p",{class:"quiet"},c(n))}function He(){let t=`curl -H "Authorization: Bearer $TOKEN" -d '{"name":"main",\
"endpoint":"https://app.example.com/webhook","format":"standard","isDefault":true}' ${location.origin}/v2/notification`;return y(c("noNotifications"),k(t,c("wit\
hCurl")))}var yt=class{#e;#t;#n;#s;#o;constructor(t,e){this.#e=t,this.#t=e}async load(){let[t,{hooks:e}]=await Promise.all([this.#t.request("/rejects"),this.#t.request("/\
hooks")]);this.#n=e,this.#s=a("ul",{class:"cards"},this.#r(t)),this.#o=a("p",{role:"status"});let s=t.rejects.length>0?this.#s:y(c("noRejects"));this.#e.replaceChildren(
C("rejects","rejectsHelp"),this.#o,s,this.#i(t))}#r({rejects:t}){return t.map(e=>this.#c(e))}#i({next:t}){if(!t)return"";let s=a("button",{type:"button",click:async()=>{
let o=await this.#t.request(`/rejects?cursor=${t}`);this.#s.append(...this.#r(o)),s.replaceWith(this.#i(o))}},c("more"));return s}#c(t){let e=this.#n.find(({id:r})=>r===
t.hook),s=a("summary",{},c("raw")),o=a("li",{class:"card"},a("div",{class:"heading"},a("h2",{},f(t.reason,300))),T([c("received"),[E(t.time),` · ${q(t.time)}`]],
[c("hook"),e?f(pt(e),100):c("deleted")],[c("verification"),!t.verified&&c("notVerified")]),a("details",{},s,k(ht(t),c("raw"))));return this.#n.length>0&&o.append(
this.#a(t,e,o)),o}#a(t,e,s){let o=this.#n.map(m=>a("option",{value:m.id},pt(m))),r=e?void 0:a("select",{"aria-label":c("replayWith")},o),i=a("span",{role:"alert",
class:"quiet"}),u=a("button",{type:"button",class:"small",click:async()=>{u.disabled=!0;try{await this.#l(t,r?.value,s)}catch(m){u.disabled=!1,i.textContent=w(m)}}},
c("replay")),h=r&&a("label",{},`${c("replayWith")} `,r);return a("div",{class:"actions"},h,u,i)}async#l(t,e,s){let o=e?`?hook=${encodeURIComponent(e)}`:"",r=`/r\
ejects/${t.id}/replay${o}`,{documentId:i}=await this.#t.request(r,{method:"POST"}),l=a("a",{href:I(i)},i);this.#o.replaceChildren(c("replayed")," ",l),s.remove(),
this.#s.hasChildNodes()||this.#s.replaceWith(y(c("noRejects"))),l.focus()}};var Ue={hooks:ft,notifications:gt,rejects:yt},vt=class{#e;#t=new AbortController;#n=new J;#s=new tt(t=>this.#l(t));#o=new ct(this.#s);#r={};#i=0;#c;constructor(){
this.#n.render()}signIn(t){this.#t.abort(),this.#e?.close(),this.#t=new AbortController,this.#e=t,X(t.token),this.#s.clear(),this.#o.session=t,this.#o.table.clear(),
this.#a(t,this.#t.signal),this.showRoute()}signOut(){this.#t.abort(),this.#e?.close(),this.#e=void 0,this.#s.clear(),this.#o.table.clear(),d("page").replaceChildren(),
history.replaceState(null,"",location.pathname),this.#n.show({state:"off",key:"signedOut"}),this.showRoute(),d("token").focus()}switchLanguage(){At(),this.#n.render(),
this.showRoute()}#a(t,e){$t(t,{signal:e,load:async()=>{let i=await this.#s.load(t,e);return this.arrange(),i},onEvent:i=>this.#s.add(i)&&this.#o.onEvent(i),onState:i=>{
this.#n.show(i),i.state==="refused"&&this.arrange()}})}#l(t){this.#c??=requestAnimationFrame(()=>this.#u()),t&&this.#r.content?.onChange(t)}#u(){this.#c=void 0,
!(!this.#e||this.#r.page!=="documents")&&(this.#o.render(),this.drawChart())}drawChart(){this.#e&&this.#r.page==="documents"&&jt(d("chart"),this.#s.minutes)}arrange(){
let{page:t}=F(),e=!this.#e||this.#n.isRefused&&!this.#s.isLoaded;d("welcome").hidden=!e,d("sign-in-section").hidden=!e&&!this.#n.isRefused,d("guide").hidden=!e&&
t!=="help",d("guide-heading").hidden=e,d("list").hidden=e||t!=="documents",d("page").hidden=e||t==="documents"||t==="help",d("navigation").hidden=e,d("sign-out").
hidden=!this.#e;for(let s of d("navigation").querySelectorAll("a"))s.dataset.page===(t==="document"?"documents":t)?s.setAttribute("aria-current","page"):s.removeAttribute(
"aria-current")}showRoute(){let{page:t,id:e,filters:s}=F(),o=this.#r;if(this.#r={page:t,id:e},o.page==="documents"&&(this.#i=scrollY),this.arrange(),!this.#e||d(
"navigation").hidden)return;let r=c(t==="document"?"documents":t);if(document.title=t==="documents"?"docrelay":`${r} · docrelay`,t==="documents"){this.#d(s,o);
return}scrollTo({top:0,behavior:"instant"}),t==="help"?d("guide-heading").focus():t==="document"?this.#h(e,s):this.#p(t,{takesFocus:o.page!==void 0})}#d(t,e){this.#o.
restore(t),this.drawChart(),e.page==="document"&&(scrollTo({top:this.#i,behavior:"instant"}),this.#o.table.focus(e.id))}#h(t,e){let s=this.#m(Yt());this.#r.content=
new mt(s,this.#e,{id:t,back:st(e)})}async#p(t,{takesFocus:e}){let s=this.#r,o=()=>this.#r===s,r=()=>C(t,`${t}Help`),i=this.#m(r(),Yt()),l=new Ue[t](i,this.#e),u=async()=>{
try{await l.load()}catch(h){l.invalidate?.(),o()&&i.replaceChildren(r(),z(h,u))}};l.reload=()=>o()&&u(),await u(),t==="notifications"&&this.#f(o,u),o()&&e&&i.querySelector(
"h1").focus({preventScroll:!0})}#m(...t){let e=a("div",{},t);return d("page").replaceChildren(e),e}async#f(t,e){for(;t();)await new Promise(s=>setTimeout(s,lt)),
t()&&!document.hidden&&await e()}onKey(t){if(t.defaultPrevented||t.altKey||t.ctrlKey||t.metaKey)return;let{page:e,content:s}=this.#r;t.key==="Escape"&&s&&(location.
hash=s.back),!(t.key!=="/"||!this.#e||e!=="documents")&&(t.target.closest("input, select, textarea")||(t.preventDefault(),d("search").focus()))}};function Yt(){
return a("p",{class:"quiet"},c("loading"))}wt();var R=new vt;function Zt(n,t){n.addEventListener("submit",async e=>{e.preventDefault();let s=[...n.querySelectorAll("input")].map(o=>o.value.trim());d("sig\
n-in-error").textContent="";try{let o=await t(...s);n.reset(),R.signIn(o)}catch(o){d("sign-in-error").textContent=w(o)}})}for(let n of document.querySelectorAll(
".origin"))n.textContent=location.origin;Zt(d("sign-in-token"),n=>new N(n));Zt(d("sign-in-client"),(n,t)=>N.fromSecret({id:n,secret:t}));d("sign-out").addEventListener(
"click",()=>R.signOut());d("language").addEventListener("click",()=>R.switchLanguage());d("skip").addEventListener("click",n=>{n.preventDefault(),d("main").focus()});
addEventListener("keydown",n=>R.onKey(n));addEventListener("hashchange",()=>{let n=bt();n?R.signIn(new N(n)):R.showRoute()});setInterval(()=>{Bt(),R.drawChart()},
1e3);var Qt=bt()||Dt();Qt?R.signIn(new N(Qt)):R.arrange();
