/** An element; strings among its children become text, never markup. */
function el(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An SVG element. */
function svg(tag, attributes, ...children) {
  return filled(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (typeof value === 'function') node.addEventListener(name, value);
    else if (value === true) node.setAttribute(name, '');
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** A labelled choice among [value, text] pairs; there is none where there is nothing to choose. */
function choice(label, options, chosen, change) {
  if (options.length < 2) return null;
  const select = el('select', { change: () => change(select.value) },
    options.map(([value, text]) => el('option', { value, selected: String(value) === String(chosen) }, text)));
  return el('label', { class: 'choice' }, el('span', {}, label), select);
}

/** Tabs after the ARIA pattern: one stop for Tab, arrows move and choose. */
function tabs(host, items, chosen, choose) {
  const buttons = items.map(({ id, text, note }) => el('button', {
    type: 'button', role: 'tab', id: `tab-${id}`, 'data-id': id, 'aria-controls': 'view',
    click: () => choose(id), keydown: (event) => step(event),
  }, text, note ? el('small', {}, note) : null));
  const step = (event) => {
    const here = buttons.indexOf(event.currentTarget);
    const last = buttons.length - 1;
    const target = { ArrowRight: here === last ? 0 : here + 1, ArrowLeft: here === 0 ? last : here - 1, Home: 0, End: last }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    buttons[target].focus();
    choose(items[target].id);
  };
  host.replaceChildren(el('div', { role: 'tablist', 'aria-label': host.getAttribute('aria-label') }, buttons));
  mark(host, chosen);
}

/** Show one tab of a host as the chosen one. */
function mark(host, chosen) {
  for (const tab of host.querySelectorAll('[role=tab]')) {
    const on = tab.dataset.id === chosen;
    tab.setAttribute('aria-selected', String(on));
    tab.tabIndex = on ? 0 : -1;
  }
}
