/**
 * Runs in the page: finds texts whose contrast with their background is below WCAG's AA. The browser converts any notation
 * of a colour to bytes.
 */
const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
const known = new Map();
const bytes = (colour) => {
  if (!known.has(colour)) known.set(colour, draw(colour));
  return known.get(colour);
};
const draw = (colour) => {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  const [r = 0, g = 0, b = 0, a = 0] = canvas.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a / 255];
};
const over = (top, below) => {
  const mix = (i) => top[i] * top[3] + below[i] * (1 - top[3]);
  return [mix(0), mix(1), mix(2), 1];
};
const behind = (element) => {
  if (!element) return [255, 255, 255, 1];
  const colour = bytes(getComputedStyle(element).backgroundColor);
  return colour[3] === 1 ? colour : over(colour, behind(element.parentElement));
};
const luminance = ([r, g, b]) => {
  const [x, y, z] = [r, g, b].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
};
lowContrast();

function lowContrast() {
  return [...document.querySelectorAll('body *')].flatMap((element) => {
    const text = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.textContent.trim());
    if (text.join('') === '' || !element.checkVisibility() || element.matches(':disabled')) return [];
    const style = getComputedStyle(element);
    const ground = behind(element);
    const ink = over(bytes(element instanceof SVGElement ? style.fill : style.color), ground);
    const [light = 0, dark = 0] = [luminance(ink), luminance(ground)].toSorted((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    return ratio >= 4.5
      ? []
      : [`${ratio.toFixed(2)} ${element.tagName}.${element.getAttribute('class') ?? ''} "${text.join(' ')}"`];
  });
}
