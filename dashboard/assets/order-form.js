import { el } from './dom.js';
import { getJson, send } from './api.js';
import { money } from './format.js';

/** Prices in cents: sums of whole numbers are exact. */
const products = [
  { productId: 101, productName: 'Earl Grey, 250 g', cents: 1275 },
  { productId: 102, productName: 'Stoneware teapot', cents: 4890 },
  { productId: 103, productName: 'Hand coffee mill', cents: 11_950 },
  { productId: 104, productName: 'Espresso machine', cents: 124_900 },
];

/**
 * The form that places an order.
 *
 * @param {HTMLFormElement} form
 * @param {{place: (order: {userId: number, items: object[]}) => Promise<void>}} journey
 */
export function orderForm(form, journey) {
  const fields = /** @type {any} */ (form.elements);
  const total = /** @type {HTMLElement} */ (form.querySelector('.total'));
  const button = /** @type {HTMLButtonElement} */ (form.querySelector('button'));
  fields.product.append(
    ...products.map(({ productId, productName, cents }) =>
      el('option', { value: productId }, `${productName} (${money(cents / 100)})`),
    ),
  );

  function item() {
    const product = products.find(({ productId }) => productId === Number(fields.product.value)) ?? products[0];
    const quantity = Math.max(1, Math.trunc(Number(fields.quantity.value)) || 1);
    const { productId, productName, cents } = product;
    return { productId, productName, quantity, unitPrice: cents / 100, totalPrice: (cents * quantity) / 100 };
  }
  const showTotal = () => (total.textContent = money(item().totalPrice));
  form.addEventListener('input', showTotal);
  showTotal();

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void place();
  });

  async function place() {
    button.disabled = true;
    await journey.place({ userId: Number(fields.userId.value), items: [item()] });
    button.disabled = false;
  }

  /** @param {any[]} users */
  function offer(users) {
    const chosen = fields.userId.value;
    fields.userId.replaceChildren(
      ...users.map(({ id, username }) => el('option', { value: id }, `${username} (${id})`)),
    );
    if (users.some(({ id }) => String(id) === chosen)) fields.userId.value = chosen;
    button.disabled = users.length === 0;
    if (users.length === 0) fields.userId.append(el('option', { value: '' }, 'No customers: register one'));
  }

  return {
    offer,
    /** @param {any} user */
    choose(user) {
      fields.userId.querySelector('option[value=""]')?.remove();
      fields.userId.append(el('option', { value: user.id }, `${user.username} (${user.id})`));
      fields.userId.value = String(user.id);
      button.disabled = false;
      button.focus();
    },
    async load() {
      const users = await getJson('/api/users?limit=100');
      offer(users);
      return users;
    },
  };
}

const names = [
  ['Ada', 'Lovelace'],
  ['Grace', 'Hopper'],
  ['Edsger', 'Dijkstra'],
  ['Barbara', 'Liskov'],
  ['Tony', 'Hoare'],
  ['Frances', 'Allen'],
];

/**
 * The form that registers a customer, filled with a suggestion.
 *
 * @param {HTMLFormElement} form
 * @param {{registered: (user: any, traceId: string | undefined) => void, failed: (title: string, error: unknown) => void}} journey
 * @param {(user: any) => void} onRegistered
 */
export function userForm(form, journey, onRegistered) {
  const fields = /** @type {any} */ (form.elements);
  const button = /** @type {HTMLButtonElement} */ (form.querySelector('button'));

  function suggest() {
    const [firstName, lastName] = names[Math.floor(Math.random() * names.length)];
    const username = `${firstName.toLowerCase()}${Math.floor(Math.random() * 9000 + 1000)}`;
    fields.username.value = username;
    fields.email.value = `${username}@example.org`;
    fields.firstName.value = firstName;
    fields.lastName.value = lastName;
  }
  suggest();

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void register();
  });

  async function register() {
    button.disabled = true;
    const body = Object.fromEntries(
      ['username', 'email', 'firstName', 'lastName'].map((name) => [name, fields[name].value.trim()]),
    );
    try {
      const answer = await send('POST', '/api/users', body);
      suggest();
      onRegistered(answer.body);
      journey.registered(answer.body, answer.traceId);
    } catch (error) {
      journey.failed('The customer was not registered.', error);
    }
    button.disabled = false;
  }
}
