const key = 'millrace-theme';
const words = { auto: 'Auto', light: 'Light', dark: 'Dark' };
const order = /** @type {const} */ (['auto', 'light', 'dark']);

/** @param {keyof typeof words} theme */
function apply(theme) {
  if (theme === 'auto') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme;
}

/** @returns {keyof typeof words} */
function stored() {
  const theme = localStorage.getItem(key);
  return theme === 'light' || theme === 'dark' ? theme : 'auto';
}

apply(stored());

/**
 * A button that cycles through the themes.
 *
 * @param {HTMLElement} button
 */
export function themeButton(button) {
  const show = () => {
    button.textContent = words[stored()];
    button.setAttribute('aria-label', `Colour theme: ${words[stored()]}`);
  };
  button.addEventListener('click', () => {
    const next = order[(order.indexOf(stored()) + 1) % order.length];
    localStorage.setItem(key, next);
    apply(next);
    show();
  });
  show();
}
