/** Everything is put in as text: nothing that comes from the server is ever read as HTML. */
export const byId = (id: string): HTMLElement => document.getElementById(id) ?? document.body;
export const inputOf = (id: string) => byId(id) as HTMLInputElement;
export const selectOf = (id: string) => byId(id) as HTMLSelectElement;
export const dialogOf = (id: string) => byId(id) as HTMLDialogElement;

export function cell(content: string | readonly Node[], look = ''): HTMLTableCellElement {
  const made = document.createElement('td');
  made.className = look;
  if (typeof content === 'string') made.textContent = content;
  else made.append(...content);
  return made;
}

export function row(...cells: readonly Node[]): HTMLTableRowElement {
  const made = document.createElement('tr');
  made.append(...cells);
  return made;
}

export function button(text: string, label: string, act: () => void): HTMLButtonElement {
  const made = document.createElement('button');
  made.type = 'button';
  made.textContent = text;
  made.setAttribute('aria-label', label);
  made.onclick = act;
  return made;
}

/** What the API says in numbers and words, never in objects. */
export const shown = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

export const since = (iso: string): string => new Date(iso).toLocaleTimeString();
