// The texts of the widget in English and Chinese. Titles and messages of vendors are shown beside them, never inside them.

export const TEXTS = {
  en: {
    statuses: { PENDING: "In progress", COMPLETED: "Completed", ERROR: "Failed" },
    states: { connecting: "Connecting", live: "Live", offline: "Not connected", error: "Stopped" },
    codes: {
      auth_required: "Access denied: this page has no token. Ask the operator of this site for access.",
      auth_failed: "Access denied: the token is invalid, expired or revoked. Reload the page to get a new one.",
      not_accepted: "The server rejected this browser’s request for updates. Try another browser or network.",
      ticket_refused: "You no longer have access to these updates. Sign in to this site again.",
      ticket_failed: "Access to the updates could not be renewed. Retrying.",
      bad_relay: "The relay attribute is not an http or https URL. Correct it in this page.",
      offline: "You are offline. Missed changes appear when you are back online.",
      unreachable: "Updates are unavailable right now. Retrying.",
      busy: "The server is busy. Retrying.",
      refused: "The server rejected the request for updates. Reload the page.",
    },
    reset: "Some earlier updates are no longer available. The present status is shown.",
    none: "No documents yet. New documents appear here.",
    unknown: "This document has no status yet.",
    loading: "Loading",
    untitled: "Document",
  },
  zh: {
    statuses: { PENDING: "处理中", COMPLETED: "已完成", ERROR: "失败" },
    states: { connecting: "正在连接", live: "实时", offline: "未连接", error: "已停止" },
    codes: {
      auth_required: "没有权限：此页面没有令牌。请联系本站管理员获取权限。",
      auth_failed: "没有权限：令牌无效、已过期或已被撤销。请重新加载页面以获取新令牌。",
      not_accepted: "服务器拒绝了此浏览器的更新请求。请换用其他浏览器或网络。",
      ticket_refused: "您已没有接收这些更新的权限。请重新登录本站。",
      ticket_failed: "未能续期接收更新的权限，正在重试。",
      bad_relay: "relay 属性不是 http 或 https 网址。请在此页面中更正。",
      offline: "您已离线。恢复连接后将显示错过的变化。",
      unreachable: "暂时无法获取更新，正在重试。",
      busy: "服务器繁忙，正在重试。",
      refused: "服务器拒绝了更新请求。请重新加载页面。",
    },
    reset: "部分较早的更新已不再保留，当前显示的是最新状态。",
    none: "暂无文档，新文档将显示在此处。",
    unknown: "此文档暂无状态。",
    loading: "正在加载",
    untitled: "文档",
  },
};

/** `zh` if the closest `lang` attribute, or else the browser, says Chinese; otherwise `en`. */
export function languageOf(element) {
  const language = element.closest("[lang]")?.lang || document.documentElement.lang || navigator.language || "";
  return /^zh\b/i.test(language) ? "zh" : "en";
}

/** The text for an error code. Relays of later versions may send codes that are not known here. */
export function codeText(texts, code) {
  return texts.codes[code] ?? texts.codes.refused;
}
