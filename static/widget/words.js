// Part of /widget.js (pages.rs joins its files into one module): what the widget says, in each of its languages.
// Every text is a finished sentence or word; titles and messages of vendors are put beside them, never into them.

const WORDS = {
  en: {
    statuses: { PENDING: "In progress", COMPLETED: "Completed", ERROR: "Failed" },
    states: { connecting: "Connecting", live: "Live", offline: "Not connected", error: "Stopped" },
    codes: {
      auth_required: "No permission: this page gave no token.",
      auth_failed: "No permission: the token is wrong, has expired or was withdrawn.",
      not_accepted: "The relay says that this browser does not accept event streams.",
      ticket_refused: "This site no longer lets you follow. Please sign in again.",
      ticket_failed: "This site could not renew the permission to follow. Trying again.",
      bad_relay: "The address of the relay is not a web address.",
      offline: "You are offline. What happens meanwhile is shown when you are back.",
      unreachable: "The relay cannot be reached. Trying again.",
      busy: "The relay is busy. Trying again.",
      refused: "The relay refuses.",
    },
    reset: "Some events in between are no longer kept. This is the present state.",
    none: "No documents yet. New ones appear here.",
    unknown: "Nothing is known of this document yet.",
    loading: "Loading",
    untitled: "Document",
  },
  zh: {
    statuses: { PENDING: "处理中", COMPLETED: "已完成", ERROR: "失败" },
    states: { connecting: "正在连接", live: "实时", offline: "未连接", error: "已停止" },
    codes: {
      auth_required: "没有权限：此页面未提供令牌。",
      auth_failed: "没有权限：令牌无效、已过期或已被撤销。",
      not_accepted: "中继服务表示此浏览器不接受事件流。",
      ticket_refused: "本站不再允许您接收更新，请重新登录。",
      ticket_failed: "本站未能续期接收权限，正在重试。",
      bad_relay: "中继服务的地址不是有效的网址。",
      offline: "您已离线。恢复连接后将显示这期间的变化。",
      unreachable: "无法连接到中继服务，正在重试。",
      busy: "中继服务繁忙，正在重试。",
      refused: "中继服务拒绝了请求。",
    },
    reset: "中间的部分事件已不再保留，当前显示的是最新状态。",
    none: "暂无文档，新文档将显示在此处。",
    unknown: "尚无此文档的信息。",
    loading: "正在加载",
    untitled: "文档",
  },
};

/** Chinese when the element, its surroundings or the browser say so, otherwise English. */
function languageOf(element) {
  const language = element.closest("[lang]")?.lang || document.documentElement.lang || navigator.language || "";
  return /^zh\b/i.test(language) ? "zh" : "en";
}
