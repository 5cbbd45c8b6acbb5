import { byId, inputOf, dialogOf } from './dom.ts';

export interface Question {
  readonly title: string;
  readonly text: string;
  readonly sample?: readonly string[];
  /** To be typed, so that nobody does it by accident. */
  readonly word?: string;
  readonly needsReason?: boolean;
}

/** Asks before something is done; the reason, or null when it should not be. */
export function ask({ title, text, sample = [], word, needsReason = false }: Question): Promise<string | null> {
  const dialog = dialogOf('dialog');
  const [typed, reason] = [inputOf('d-type'), inputOf('d-reason')];
  byId('d-title').textContent = title;
  byId('d-text').textContent = text;
  byId('d-error').textContent = '';
  byId('d-word').textContent = word ?? '';
  byId('d-type-label').hidden = word === undefined;
  byId('d-reason-label').hidden = !needsReason;
  byId('d-sample').replaceChildren(
    ...sample.map((key) => Object.assign(document.createElement('li'), { textContent: key })),
  );
  typed.value = reason.value = '';
  dialog.showModal();
  return new Promise((resolve) => {
    let answer: string | null = null;
    byId('d-cancel').onclick = () => dialog.close();
    byId('d-form').onsubmit = (event) => {
      event.preventDefault();
      if (word !== undefined && typed.value !== word) byId('d-error').textContent = `Type ${word} to go on`;
      else if (needsReason && reason.value.trim().length < 3)
        byId('d-error').textContent = 'Say why, in three characters or more';
      else {
        answer = reason.value.trim();
        dialog.close();
      }
    };
    dialog.addEventListener('close', () => resolve(answer), { once: true });
  });
}
