// Every word that people read, in English and Chinese. Knows no markup: places in the page say which word they want.

const WORDS = {
  // The frame.
  skip: ["Skip to the content", "跳到内容"],
  sections: ["Sections", "栏目"],
  documents: ["Documents", "文档"],
  hooks: ["Hooks", "接收地址"],
  notifications: ["Notifications", "通知"],
  rejects: ["Rejects", "无法识别"],
  help: ["Help", "帮助"],
  otherLanguage: ["中文", "English"],
  signOut: ["Sign out", "退出"],
  off: ["Not connected.", "未连接。"],
  forgotten: ["Not connected. The token is forgotten.", "未连接。令牌已清除。"],
  connecting: ["Connecting.", "正在连接。"],
  again: ["Connecting again.", "正在重新连接。"],
  open: ["Connected: events appear as they happen.", "已连接：事件会即时显示。"],
  reset: ["Connected. Some events in between are no longer kept: everything was loaded anew.", "已连接。中间的部分事件已不再保留，内容已重新加载。"],
  lost: ["Connection lost: trying again in {seconds} s.", "连接中断：{seconds} 秒后重试。"],
  auth_required: ["The relay asks for a token.", "需要令牌。"],
  auth_failed: ["The token was not accepted: it is wrong, has expired, was revoked or does not allow events.", "令牌未被接受：它有误、已过期、已撤销，或无权读取事件。"],
  not_accepted: ["The relay says that this browser does not accept event streams.", "服务器认为此浏览器不接受事件流。"],
  refused: ["The relay refuses: {reason}", "服务器拒绝：{reason}"],
  badClient: ["The client id or its secret is wrong.", "客户端 ID 或密钥有误。"],
  unreachable: ["The relay cannot be reached.", "无法连接服务器。"],
  answered: ["The relay answered {status}.", "服务器返回 {status}。"],
  noScope: ["This token may follow, but not manage: it lacks the scope “manage”.", "此令牌只能读取事件，缺少“manage”权限。"],
  loading: ["Loading.", "正在加载。"],
  tryAgain: ["Try again", "重试"],
  // The table.
  search: ["Search", "搜索"],
  searchFor: ["Title or identifier", "标题或标识"],
  vendor: ["Vendor", "供应商"],
  allVendors: ["All vendors", "全部供应商"],
  status: ["Status", "状态"],
  ALL: ["All", "全部"],
  PENDING: ["Pending", "处理中"],
  COMPLETED: ["Completed", "已完成"],
  ERROR: ["Error", "出错"],
  title: ["Title", "标题"],
  vendorId: ["Vendor’s id", "供应商标识"],
  age: ["Age", "时间"],
  allShown: ["{total} documents", "{total} 个文档"],
  oneShown: ["1 document", "1 个文档"],
  someShown: ["{count} of {total} documents", "{total} 个文档中的 {count} 个"],
  keys: ["↑ ↓ move, Enter opens, Esc comes back", "↑ ↓ 移动，Enter 打开，Esc 返回"],
  onlyNewest: ["The newest {total} are loaded; older ones are found by their whole identifier.", "已加载最新的 {total} 个；更早的可按完整标识查找。"],
  newer: ["{count} new ↑", "{count} 个新事件 ↑"],
  heard: ["{count} new events, the last: {title}, {status}", "{count} 个新事件，最近：{title}，{status}"],
  none: ["Nothing has come yet", "还没有任何内容"],
  noneHelp: ["Make a hook and hand its address to a vendor. What it says appears here by itself.", "创建接收地址并提供给供应商，消息会自动显示在这里。"],
  noMatch: ["No document matches", "没有匹配的文档"],
  clear: ["Clear the filters", "清除筛选"],
  lookUp: ["Ask the relay for this identifier", "向服务器查询此标识"],
  notThere: ["The relay knows no document of this identifier.", "服务器没有此标识的文档。"],
  // The chart.
  perMinute: ["Events per minute, last hour", "过去一小时每分钟事件数"],
  chartSays: ["{total} events in the last hour: {PENDING} pending, {COMPLETED} completed, {ERROR} errors. The busiest minute had {most}.", "过去一小时 {total} 个事件：处理中 {PENDING}，已完成 {COMPLETED}，出错 {ERROR}。最多一分钟 {most} 个。"],
  chartQuiet: ["No events in the last hour.", "过去一小时没有事件。"],
  now: ["now", "现在"],
  minutesAgo: ["{count} min ago", "{count} 分钟前"],
  // A document.
  back: ["Back to the documents", "返回文档列表"],
  untitled: ["Untitled", "无标题"],
  documentId: ["Document id", "文档 ID"],
  updated: ["Last event", "最近事件"],
  vendorTime: ["By the vendor’s clock", "供应商时间"],
  labels: ["Labels", "标签"],
  result: ["Result", "结果"],
  error: ["Error", "错误"],
  history: ["History", "历史"],
  raw: ["Raw message", "原始消息"],
  noRaw: ["There is no request behind this event.", "此事件没有原始请求。"],
  deliveries: ["Deliveries", "投递"],
  noDeliveries: ["Nothing has gone out.", "没有投递。"],
  noDocument: ["There is no such document, or it belongs to another client.", "没有此文档，或它属于其他客户端。"],
  // Hooks.
  hooksHelp: ["Addresses that vendors call. Whoever knows one can use it.", "供应商调用的地址。知道地址的人都可以调用。"],
  noHooks: ["There is no hook yet", "还没有接收地址"],
  address: ["Address", "地址"],
  copy: ["Copy", "复制"],
  copied: ["Copied", "已复制"],
  proof: ["Proof", "验证"],
  lastCall: ["Last call", "最近调用"],
  lastRefusal: ["Last refusal", "最近拒绝"],
  notCalled: ["not since the relay started", "启动以来没有"],
  // Notifications.
  notificationsHelp: ["Addresses that the relay calls with each event.", "每个事件发送到的地址。"],
  noNotifications: ["There is no notification yet", "还没有通知"],
  endpoint: ["Endpoint", "端点"],
  format: ["Format", "格式"],
  isDefault: ["default", "默认"],
  active: ["active", "正常"],
  unverified: ["not verified", "未验证"],
  disabled: ["disabled", "已停用"],
  lastAttempts: ["Last deliveries", "最近投递"],
  dead: ["failed", "失败"],
  delivered: ["delivered", "已送达"],
  pending: ["waiting", "等待"],
  retry: ["Retry", "重试"],
  sendAgain: ["Send again", "再次发送"],
  queued: ["Queued", "已排队"],
  nextAttempt: ["next attempt {time}", "{time}再试"],
  attempts: ["{count} attempts", "尝试 {count} 次"],
  deadOnes: ["Failed for good", "最终失败"],
  noDead: ["Nothing has failed for good.", "没有最终失败的投递。"],
  // Rejects.
  rejectsHelp: ["What proved its origin and could not be understood. Mend the hook, then replay.", "来源已验证但无法识别的请求。修正接收地址后可重新处理。"],
  noRejects: ["Everything was understood", "全部已识别"],
  replay: ["Replay", "重新处理"],
  replayed: ["Understood now:", "已识别："],
  hook: ["Hook", "接收地址"],
  gone: ["deleted", "已删除"],
  replayWith: ["Read it as a call of", "按此地址处理"],
  more: ["Show more", "显示更多"],
  // Signing in, and help.
  welcome: ["Document converters call back here. You follow one stream.", "文档转换服务在此回调，您只需关注一个事件流。"],
  welcomeHelp: ["Each vendor has a way of its own to say that a document is done. docrelay stores what it says, shows it here, streams it to your pages and passes it on.", "每家供应商通知文档完成的方式各不相同。docrelay 保存这些消息，在此显示，推送到您的页面，并继续转发。"],
  signIn: ["Sign in", "登录"],
  token: ["Bearer token", "令牌"],
  tokenHelp: ["prints one. It stays in this tab and travels in a header, never in an address.", "可生成令牌。它只保存在此标签页中，通过请求头发送，绝不出现在地址里。"],
  byToken: ["With a token", "使用令牌"],
  bySecret: ["With a client’s secret", "使用客户端密钥"],
  clientId: ["Client id", "客户端 ID"],
  clientSecret: ["Client secret", "客户端密钥"],
  secretHelp: ["Exchanged for a token. The secret is kept nowhere.", "用于换取令牌，密钥不会被保存。"],
  noScript: ["The dashboard needs JavaScript; curl does without, see below.", "面板需要 JavaScript；也可使用下方的 curl。"],
  withCurl: ["With curl", "使用 curl"],
  curlFollow: ["Follow:", "接收事件："],
  curlResume: ["Go on after the last event you have seen; “earliest” replays all that is kept:", "从最后看到的事件继续；“earliest” 重放全部保留的事件："],
  curlHook: ["Make a hook for a vendor, then call it as that vendor would:", "为供应商创建接收地址，然后模拟调用："],
  inAPage: ["In a page of yours", "在您的页面中"],
  pageHelp: ["A browser’s EventSource cannot send headers, so there the token stands in the address. It reconnects and resumes by itself; only a refusal has to be looked at, because a browser would come back for ever.", "浏览器的 EventSource 不能发送请求头，令牌只能放在地址中。它会自动重连并续传；只有被拒绝时需要处理，否则浏览器会无限重试。"],
  pageWarning: ["Addresses end up in the logs of proxies and in histories: give pages short-lived tokens with the scope “events” only, fetched by your own server from /oauth/token.", "地址会留在代理日志和浏览历史中：请让您的服务器从 /oauth/token 获取仅含“events”权限的短期令牌供页面使用。"],
  more2: ["More", "更多"],
  reference: ["Reference: every address, event and setting", "参考：全部地址、事件与设置"],
  publicKeys: ["Public keys of the tokens", "令牌公钥"],
};

const LANGUAGE_KEPT_AS = "docrelay-language";
let language = chosenLanguage();

/** What was chosen here before, else what the browser asks for. Storage may be forbidden. */
function chosenLanguage() {
  try {
    const chosen = localStorage.getItem(LANGUAGE_KEPT_AS);
    if (chosen) return chosen;
  } catch { /* not kept */ }
  return navigator.language.startsWith("zh") ? "zh" : "en";
}

/** A word in the present language; `{name}` stands for a value. */
function word(key, values = {}) {
  const text = WORDS[key]?.[language === "zh" ? 1 : 0] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => (typeof values[name] === "number" ? number(values[name]) : (values[name] ?? "")));
}

function number(value) {
  return value.toLocaleString(language);
}

/** Fills the places of the page that say which word they want. */
function translate(root = document) {
  document.documentElement.lang = language;
  for (const place of root.querySelectorAll("[data-word]")) place.textContent = word(place.dataset.word);
  for (const place of root.querySelectorAll("[data-label]")) place.setAttribute("aria-label", word(place.dataset.label));
  for (const place of root.querySelectorAll("[data-hint]")) place.placeholder = word(place.dataset.hint);
}

function switchLanguage() {
  language = language === "zh" ? "en" : "zh";
  try {
    localStorage.setItem(LANGUAGE_KEPT_AS, language);
  } catch { /* good until the page is left */ }
  translate();
}
