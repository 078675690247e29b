/*
 * When a table is painted and put in order. Cells follow at the next frame; order and totals of rows that change all the
 * time at most once a second, for they cost more and rows should not jump about; what the reader chose at once.
 * Frames come only while the page can be seen, so nothing piles up in the background.
 */

const REFRESH_MS = 1000;
// While the pointer moves over rows their order is kept, but no longer than this: a click should hit its row.
const POINTED_MS = 1500;
const HELD_MS_MAX = 6000;

export class Pace {
  #table;
  #frame = 0;
  #timer = 0;
  #isAsked = true;
  #refreshedAt = -REFRESH_MS;
  #pointedAt = -POINTED_MS;

  /** `table`: `{ isChanged(), isEmpty(), refresh(isAsked), paint() }`. */
  constructor(table) {
    this.#table = table;
  }

  /** Something changed. */
  touch() {
    this.#frame ||= requestAnimationFrame((time) => {
      this.#frame = 0;
      this.#turn(time);
    });
  }

  /** The reader chose another order, or other rows. */
  ask() {
    this.#isAsked = true;
    this.touch();
  }

  /** The pointer moves over rows. */
  point() {
    this.#pointedAt = performance.now();
  }

  #turn(time) {
    if (this.#isAsked || this.#table.isChanged()) {
      const wait = this.#isAsked || this.#table.isEmpty() ? 0 : this.#dueAt(time) - time;
      if (wait <= 0) {
        this.#table.refresh(this.#isAsked);
        this.#isAsked = false;
        this.#refreshedAt = time;
      } else {
        this.#timer ||= setTimeout(() => {
          this.#timer = 0;
          this.touch();
        }, wait);
      }
    }
    this.#table.paint();
  }

  #dueAt(time) {
    const due = this.#refreshedAt + REFRESH_MS;
    if (time - this.#refreshedAt > HELD_MS_MAX) return due;
    return Math.max(due, this.#pointedAt + POINTED_MS);
  }
}
