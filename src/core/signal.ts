/**
 * One kind of event between two parts created one after the other. Listeners are called in the order in which they were
 * added.
 */
export class Signal<Event> {
  readonly #listeners: ((event: Event) => void)[] = [];

  add(listener: (event: Event) => void): void {
    this.#listeners.push(listener);
  }

  readonly emit = (event: Event): void => {
    for (const listener of this.#listeners) listener(event);
  };
}
