// SPDX-License-Identifier: MIT
/*
 * Expands the patterns of plots.c into stories: draws a plot, a cast and a row of values, writes
 * the lines, introduces the friend at the first mention and mends "a" before a vowel.
 */
#include "corpus.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "plots.h"

enum {
	MAX_VARS = 40
};

struct person {
	const char *name;
	bool female;
};

static const struct person child_names[] = {
	{"Mia", true},	 {"Lily", true}, {"Anna", true},  {"Sara", true},  {"Zoe", true},
	{"Ruby", true},	 {"Nora", true}, {"Emma", true},  {"Ada", true},   {"Rose", true},
	{"Tom", false},	 {"Ben", false}, {"Sam", false},  {"Max", false},  {"Leo", false},
	{"Jack", false}, {"Tim", false}, {"Noah", false}, {"Finn", false}, {"Omar", false},
};

static const struct person animal_names[] = {
	{"Pip", false},	  {"Bruno", false}, {"Milo", false}, {"Oscar", false},
	{"Teddy", false}, {"Bean", false},  {"Hazel", true}, {"Dot", true},
	{"Luna", true},	  {"Poppy", true},  {"Daisy", true}, {"Coco", true},
};

static const char *const species[] = {
	"fox", "bear", "rabbit", "mouse", "squirrel", "hedgehog", "badger", "mole",
};

static const struct person adults[] = {
	{"Mom", true},	    {"Dad", false},	{"Grandma", true},
	{"Grandpa", false}, {"Aunt May", true}, {"Uncle Joe", false},
};

static const struct person elders[] = {
	{"Old Owl", false},    {"Grandpa Turtle", false}, {"Mother Goose", true},
	{"Aunt Beaver", true}, {"Old Toad", false},	  {"Mrs. Deer", true},
};

static const char *const colors[] = {
	"red", "blue", "yellow", "green", "purple", "silver", "white", "golden",
};

struct vars {
	const char *key[MAX_VARS];
	const char *value[MAX_VARS];
	unsigned n;
	bool met; /* the friend has been introduced */
};

struct sink {
	char *out;
	size_t n;
	bool quoted; /* inside quotation marks */
};

static void put(struct sink *s, const char *p, size_t n)
{
	if (s->n + n >= CORPUS_TEXT_MAX)
		n = CORPUS_TEXT_MAX - 1 - s->n;
	for (size_t i = 0; i < n; i++)
		s->quoted ^= p[i] == '"';
	memcpy(s->out + s->n, p, n);
	s->n += n;
	s->out[s->n] = 0;
}

static void set(struct vars *v, const char *key, const char *value)
{
	v->key[v->n] = key;
	v->value[v->n++] = value;
}

/* The friend is introduced at the first mention, in the words of whoever speaks. */
static const char *find(struct vars *v, const struct sink *s, const char *key)
{
	bool met = v->met;

	if (!strcmp(key, "f") || !strcmp(key, "name")) {
		v->met = true;
		if (*key == 'f' && !met)
			return s->quoted ? "my friend [name]" : "[meet]";
		key = "name";
	}
	for (unsigned i = 0; i < v->n; i++)
		if (!strcmp(v->key[i], key))
			return v->value[i];
	for (unsigned i = 0; story_bank[i]; i += 2)
		if (!strcmp(story_bank[i], key))
			return story_bank[i + 1];
	return NULL;
}

static void expand(struct rng *r, struct vars *v, const char *p, const char *end, struct sink *s);

static bool title_word(const char *word)
{
	return strncmp(word, "a ", 2) && strncmp(word, "of ", 3) && strncmp(word, "the ", 4);
}

/* [key], [Key] or [!key] with a capital first letter, [^key] with each word capitalised. */
static void expand_key(struct rng *r, struct vars *v, const char *p, size_t n, struct sink *s)
{
	char key[32];
	bool title = *p == '^', capital = *p == '!' || isupper((unsigned char)*p);
	const char *value;
	size_t start = s->n, skip = title || *p == '!';

	snprintf(key, sizeof(key), "%.*s", (int)(n - skip), p + skip);
	key[0] = (char)tolower((unsigned char)key[0]);
	value = find(v, s, key);
	expand(r, v, value, value + strlen(value), s);
	if (capital && s->n > start)
		s->out[start] = (char)toupper((unsigned char)s->out[start]);
	for (size_t i = start; title && i < s->n; i++)
		if (i == start || (s->out[i - 1] == ' ' && title_word(s->out + i)))
			s->out[i] = (char)toupper((unsigned char)s->out[i]);
}

/* One of the alternatives between p and end, which are parted by '|' at this level. */
static void expand_choice(struct rng *r, struct vars *v, const char *p, const char *end,
			  struct sink *s)
{
	const char *from = p, *best = p, *best_end = end;
	uint32_t seen = 0;
	int depth = 0;

	for (;; p++) {
		if (p == end || (*p == '|' && !depth)) {
			if (rng_below(r, ++seen) == 0) {
				best = from;
				best_end = p;
			}
			from = p + 1;
			if (p == end)
				break;
		}
		depth += *p == '{';
		depth -= *p == '}';
	}
	expand(r, v, best, best_end, s);
}

static void expand(struct rng *r, struct vars *v, const char *p, const char *end, struct sink *s)
{
	/* A bank may be a bare list of alternatives. */
	int depth = 0;

	for (const char *q = p; q < end; q++) {
		depth += *q == '{';
		depth -= *q == '}';
		if (*q == '|' && !depth) {
			expand_choice(r, v, p, end, s);
			return;
		}
	}
	while (p < end) {
		const char *q = p + 1;

		if (*p == '[') {
			q = memchr(p, ']', (size_t)(end - p));
			expand_key(r, v, p + 1, (size_t)(q - p - 1), s);
			p = q + 1;
		} else if (*p == '{') {
			for (depth = 1; depth; q++) {
				depth += *q == '{';
				depth -= *q == '}';
			}
			expand_choice(r, v, p + 1, q - 1, s);
			p = q;
		} else {
			put(s, p++, 1);
		}
	}
}

/* "a" before a vowel becomes "an"; no word of the grammar needs an exception. */
static void fix_articles(char text[CORPUS_TEXT_MAX])
{
	for (size_t i = 0; text[i]; i++) {
		bool start = i == 0 || strchr(" \n\"", text[i - 1]);

		if (!start || (text[i] != 'a' && text[i] != 'A') || text[i + 1] != ' ' ||
		    !text[i + 2] || !strchr("aeiouAEIOU", text[i + 2]))
			continue;
		memmove(text + i + 2, text + i + 1, strlen(text + i + 1) + 1);
		text[i + 1] = 'n';
	}
}

size_t story_expand(struct rng *r, const char *pattern, const char *const *vars,
		    char out[CORPUS_TEXT_MAX])
{
	struct vars v = {.n = 0};
	struct sink s = {.out = out};

	for (; *vars; vars += 2)
		set(&v, vars[0], vars[1]);
	expand(r, &v, pattern, pattern + strlen(pattern), &s);
	return s.n;
}

#define COUNT(x)  ((uint32_t)(sizeof(x) / sizeof((x)[0])))
#define ANY(r, x) ((x)[rng_below(r, COUNT(x))])

void story_two_names(struct rng *r, const char *name[2], bool female[2])
{
	uint32_t i = rng_below(r, COUNT(child_names));
	uint32_t k = (i + 1 + rng_below(r, COUNT(child_names) - 1)) % COUNT(child_names);

	name[0] = child_names[i].name;
	name[1] = child_names[k].name;
	female[0] = child_names[i].female;
	female[1] = child_names[k].female;
}

static void set_person(struct vars *v, const struct person *p, const char *const key[4])
{
	set(v, key[0], p->name);
	set(v, key[1], p->female ? "she" : "he");
	set(v, key[2], p->female ? "her" : "him");
	set(v, key[3], p->female ? "her" : "his");
}

static void set_cast(struct rng *r, struct vars *v, enum world world)
{
	static const char *const hero_keys[4] = {"h", "he", "him", "his"};
	static const char *const friend_keys[4] = {"name", "fhe", "fhim", "fhis"};
	static const char *const adult_keys[4] = {"a", "ahe", "ahim", "ahis"};
	const struct person *names = world == CHILDREN ? child_names : animal_names;
	uint32_t n = world == CHILDREN ? COUNT(child_names) : COUNT(animal_names);
	uint32_t i = rng_below(r, n), k = (i + 1 + rng_below(r, n - 1)) % n;
	uint32_t si = rng_below(r, COUNT(species));
	uint32_t sk = (si + 1 + rng_below(r, COUNT(species) - 1)) % COUNT(species);

	set_person(v, &names[i], hero_keys);
	set_person(v, &names[k], friend_keys);
	set_person(v, world == CHILDREN ? &ANY(r, adults) : &ANY(r, elders), adult_keys);
	set(v, "him2", names[i].female ? "herself" : "himself");
	if (world == CHILDREN) {
		set(v, "kind", names[i].female ? "girl" : "boy");
		set(v, "fkind", names[k].female ? "girl" : "boy");
		set(v, "meet", "[his] friend [name]");
		set(v, "hands", "hands");
	} else {
		set(v, "kind", species[si]);
		set(v, "fkind", species[sk]);
		set(v, "meet", "[his] friend [name] the [fkind]");
		set(v, "hands", "paws");
	}
	set(v, "intro", "a [trait] [kind] named [h]");
	set(v, "c", ANY(r, colors));
}

static void set_scene(struct rng *r, struct vars *v, enum world world)
{
	static const char *const traits[] = {
		"little", "young", "kind", "brave", "cheerful", "clever", "quiet", "curious",
	};
	static const char *const child_homes[] = {
		"in a small house near the sea",
		"in a blue house on a hill",
		"in a quiet town",
		"in a village by the river",
		"on a farm",
		"at the edge of the forest",
		"at the end of a long road",
		"next to a windmill",
	};
	static const char *const animal_homes[] = {
		"in a hollow tree",    "under an old oak",	"by a quiet pond",
		"in the green forest", "at the foot of a hill", "in a sunny meadow",
		"near the river",      "behind a stone wall",
	};
	static const char *const spots[] = {
		"under a tree", "on a bench", "by the pond", "on a sunny rock", "in the grass",
	};

	set(v, "trait", ANY(r, traits));
	set(v, "home", world == CHILDREN ? ANY(r, child_homes) : ANY(r, animal_homes));
	set(v, "spot", ANY(r, spots));
	set(v, "fhappy", "{smiled from ear to ear|laughed with joy|clapped [fhis] [hands]}");
}

/* Cuts an expanded row in place into [1], [2], ... */
static void set_row(struct vars *v, char *row)
{
	static const char *const column[PLOT_COLUMNS] = {"1", "2", "3", "4", "5", "6"};

	for (unsigned i = 0; row && i < PLOT_COLUMNS; i++) {
		char *slash = strchr(row, '/');

		if (slash)
			*slash = 0;
		set(v, column[i], row);
		row = slash ? slash + 1 : NULL;
	}
}

size_t story_write(struct rng *r, char out[CORPUS_TEXT_MAX])
{
	const struct plot *plot = &story_plots[rng_below(r, story_n_plots)];
	enum world world = plot->world == BOTH ? (rng_below(r, 5) < 3 ? CHILDREN : ANIMALS)
					       : plot->world;
	char row[CORPUS_TEXT_MAX];
	struct vars v = {.n = 0};
	struct sink s = {.out = row};
	unsigned n_rows = 0;
	const char *p;

	while (n_rows < PLOT_ROWS && plot->row[n_rows])
		n_rows++;
	set_cast(r, &v, world);
	set_scene(r, &v, world);
	p = plot->row[rng_below(r, n_rows)];
	expand(r, &v, p, p + strlen(p), &s);
	set_row(&v, row);

	s = (struct sink){.out = out};
	out[0] = 0;
	if (rng_below(r, 3) == 0) {
		v.met = true;
		expand(r, &v, plot->title, plot->title + strlen(plot->title), &s);
		v.met = false;
		put(&s, "\n", 1);
	}
	for (unsigned i = 0; i < PLOT_LINES && plot->line[i]; i++) {
		size_t before = s.n;

		if (i)
			put(&s, " ", 1);
		expand(r, &v, plot->line[i], plot->line[i] + strlen(plot->line[i]), &s);
		if (i && s.n == before + 1)
			out[--s.n] = 0;
	}
	fix_articles(out);
	return strlen(out);
}
