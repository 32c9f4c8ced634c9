/* SPDX-License-Identifier: MIT */
/* The data of the story grammar (plots.c) for the program that expands it (story.c). */
#ifndef TALE_PLOTS_H
#define TALE_PLOTS_H

enum {
	PLOT_COLUMNS = 6,
	PLOT_LINES = 10,
	PLOT_ROWS = 14
};
enum world {
	CHILDREN = 1,
	ANIMALS = 2,
	BOTH = 3
};

/*
 * In a pattern, {x|y} is a free choice, [name] a value that stays the same through the story or a
 * phrase from the bank; [Name] or [!name] has a capital, [^name] capitals on each word. The names:
 * h he him his kind trait home for the hero, f fhe fhim fhis fkind for the friend, a ahe ahim ahis
 * for the grown-up, c a colour, 1 2 ... the columns of the row that was drawn.
 */
struct plot {
	enum world world;
	const char *title;
	const char *row[PLOT_ROWS]; /* columns [1], [2], ... parted by '/' */
	const char *line[PLOT_LINES];
};

extern const struct plot story_plots[];
extern const unsigned story_n_plots;

/* Pairs of a name and a pattern, NULL at the end; drawn anew at each use. */
extern const char *const story_bank[];

#endif
