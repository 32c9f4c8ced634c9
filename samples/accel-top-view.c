// SPDX-License-Identifier: MIT
/*
 * accel-top in a terminal: for each device bars, sensors and a graph over time, below them the clients.
 * Draws what fits: the graph goes first, then lines from the bottom.
 */
#include <curses.h>
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>

#include "accel-top.h"

enum { COLOR_PLAIN, COLOR_TITLE, COLOR_BUSY, COLOR_MEMORY, COLOR_ALARM, COLOR_HEAD };

#define GRAPH_ROWS_MAX	6
#define BAR_MAX		30
#define DELAY_MIN	0.1
#define DELAY_MAX	60.0

struct view {
	struct top *top;
	double delay;
	int scroll;
	bool utf8;
	int rows;
	int columns;
	int y;		/* next line to draw */
};

static void paint(int color, attr_t attr)
{
	attrset(attr | (has_colors() ? (attr_t)COLOR_PAIR(color) : 0));
}

static void start_colors(void)
{
	if (!has_colors())
		return;
	start_color();
	use_default_colors();
	init_pair(COLOR_TITLE, COLOR_CYAN, -1);
	init_pair(COLOR_BUSY, COLOR_GREEN, -1);
	init_pair(COLOR_MEMORY, COLOR_YELLOW, -1);
	init_pair(COLOR_ALARM, COLOR_RED, -1);
	init_pair(COLOR_HEAD, COLOR_BLACK, COLOR_GREEN);
}

/* Text at a place of the current line; what does not fit is cut off. */
__attribute__((format(printf, 3, 4)))
static void put(struct view *v, int x, const char *format, ...)
{
	char text[512];
	va_list list;

	if (v->y >= v->rows || x >= v->columns)
		return;
	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	mvaddnstr(v->y, x, text, v->columns - x);
}

/* "HBM [|||||     1.2 GiB/8 GiB]", @width columns of it inside the brackets. */
static void bar(struct view *v, int x, int width, const char *name, double share, const char *text,
		int color)
{
	int filled = (int)(share * width + 0.5), i, length = (int)strlen(text);
	char cells[BAR_MAX + 1];

	width = width > BAR_MAX ? BAR_MAX : width;
	filled = filled < 0 ? 0 : filled > width ? width : filled;
	for (i = 0; i < width; i++)
		cells[i] = i < filled ? '|' : ' ';
	if (length <= width)
		memcpy(cells + width - length, text, (size_t)length);
	cells[width] = 0;
	paint(COLOR_PLAIN, A_BOLD);
	put(v, x, "%s[", name);
	x += (int)strlen(name) + 1;
	paint(color, 0);
	put(v, x, "%.*s", filled, cells);
	paint(COLOR_PLAIN, 0);
	put(v, x + filled, "%s", cells + filled);
	paint(COLOR_PLAIN, A_BOLD);
	put(v, x + width, "]");
	paint(COLOR_PLAIN, 0);
}

static double used_share(uint64_t all, uint64_t left)
{
	return all ? 1.0 - (double)left / (double)all : 0;
}

static void used_text(char *text, size_t size, uint64_t all, uint64_t left)
{
	char used[16], total[16];

	top_bytes(used, sizeof(used), all > left ? all - left : 0);
	top_bytes(total, sizeof(total), all);
	snprintf(text, size, "%s/%s", used, total);
}

static void draw_bars(struct view *v, const struct top_device *d)
{
	int width = v->columns / 3 - 8;
	char text[48];

	width = width > BAR_MAX ? BAR_MAX : width;
	if (width < 4)
		width = 4;
	snprintf(text, sizeof(text), d->busy < 0 ? "-" : "%.1f%%", d->busy * 100);
	bar(v, 0, width, "BUSY", d->busy, text, COLOR_BUSY);
	used_text(text, sizeof(text), d->info.hbm_bytes, d->usage.hbm_free);
	bar(v, width + 7, width, "HBM", used_share(d->info.hbm_bytes, d->usage.hbm_free), text,
	    COLOR_MEMORY);
	used_text(text, sizeof(text), d->info.sram_bytes, d->usage.sram_free);
	bar(v, 2 * width + 13, width, "SRAM", used_share(d->info.sram_bytes, d->usage.sram_free),
	    text, COLOR_MEMORY);
	v->y++;
}

static void draw_sensors(struct view *v, const struct top_device *d)
{
	unsigned long long resets = top_counter(d, "engine-reset") + top_counter(d, "firmware-reboot") +
				    top_counter(d, "function-reset");
	unsigned long long faults = top_counter(d, "fault"), ecc = top_counter(d, "ecc-uncorrected");
	char joules[16];

	top_joules(joules, sizeof(joules), (double)d->usage.energy_uj / 1e6);
	put(v, 0, "POWER %.1f W  ENERGY %s  TEMP %.1f%sC", d->usage.power_mw / 1e3, joules,
	    d->usage.temperature_mc / 1e3, v->utf8 ? "\xc2\xb0" : " ");
	paint(faults || resets || ecc ? COLOR_ALARM : COLOR_PLAIN, 0);
	put(v, 46, "FAULTS %llu  RESETS %llu  ECC %llu", faults, resets, ecc);
	paint(COLOR_PLAIN, 0);
	v->y++;
}

/* What one column of the graph shows at a row, counted from the bottom, of a value of 0 to 1. */
static const char *cell(const struct view *v, double value, int row, int rows)
{
	static const char *const blocks[] = { " ", "\xe2\x96\x81", "\xe2\x96\x82", "\xe2\x96\x83",
					      "\xe2\x96\x84", "\xe2\x96\x85", "\xe2\x96\x86",
					      "\xe2\x96\x87", "\xe2\x96\x88" };
	double part = value * rows - row;
	int eighths = part <= 0 ? 0 : part >= 1 ? 8 : (int)(part * 8 + 0.5);

	if (v->utf8)
		return blocks[eighths];
	return eighths == 0 ? " " : eighths < 4 ? "." : eighths < 8 ? ":" : "#";
}

/* Busy as columns, newest at the right; how much of HBM was in use as a line of dots. */
static void draw_graph(struct view *v, const struct top_device *d, int rows)
{
	int width = v->columns - 6, row, x;

	if (rows < 2 || width < 10)
		return;
	for (row = rows - 1; row >= 0; row--, v->y++) {
		put(v, 0, row == rows - 1 ? "100%%|" : row ? "    |" : "  0%%|");
		for (x = 0; x < width && x < TOP_HISTORY; x++) {
			unsigned int age = (unsigned int)(width - 1 - x), at;
			int level;

			if (age >= d->nhistory || age >= TOP_HISTORY || v->y >= v->rows)
				continue;
			at = (d->nhistory - 1 - age) % TOP_HISTORY;
			level = (int)(d->hbm_history[at] * (float)(rows - 1) + 0.5f);
			if (d->history[at] * (float)rows > (float)row + 0.05f) {
				paint(COLOR_BUSY, 0);
				mvaddstr(v->y, 5 + x, cell(v, d->history[at], row, rows));
			} else if (level == row && d->hbm_history[at] > 0.005f) {
				paint(COLOR_MEMORY, 0);
				mvaddstr(v->y, 5 + x, v->utf8 ? "\xc2\xb7" : "-");
			}
		}
		paint(COLOR_PLAIN, 0);
	}
}

static void draw_device(struct view *v, const struct top_device *d, int graph_rows)
{
	paint(COLOR_TITLE, A_BOLD);
	put(v, 0, "accel%u", d->info.id);
	paint(d->info.state == ACCEL_TELEMETRY_LOST ? COLOR_ALARM : COLOR_PLAIN, 0);
	put(v, 9, "%s  %s  firmware %s  %s", d->info.pci_address, d->info.chip[0] ? d->info.chip : "?",
	    d->info.firmware[0] ? d->info.firmware : "?", top_state(d->info.state));
	paint(COLOR_PLAIN, 0);
	v->y++;
	draw_bars(v, d);
	draw_sensors(v, d);
	draw_graph(v, d, graph_rows);
}

static void rate_text(char *text, size_t size, double value, double scale)
{
	if (value < 0)
		snprintf(text, size, "-");
	else
		snprintf(text, size, "%.*f", value * scale < 10 ? 2 : 1, value * scale);
}

/* --- Columns of the clients --- */

enum column { PID, USER, DEV, BUSY, HBM, SRAM, EVICTED, ENERGY, PER_TOKEN, TOKENS, COLUMNS_OF_CLIENTS };

static const struct {
	const char *title;
	int width;		/* negative: starts at the left */
} columns[COLUMNS_OF_CLIENTS] = {
	[PID] = { "PID", 7 },		[USER] = { "USER", -8 },	[DEV] = { "DEV", 3 },
	[BUSY] = { "BUSY%", 6 },	[HBM] = { "HBM", 9 },		[SRAM] = { "SRAM", 9 },
	[EVICTED] = { "EVICTED", 9 },	[ENERGY] = { "ENERGY", 9 },	[PER_TOKEN] = { "J/TOKEN", 8 },
	[TOKENS] = { "TOKEN/S", 8 },
};

#define COMMAND_MIN	14

/* Which columns fit beside the command; bit per enum column. */
static unsigned int fitting_columns(int width)
{
	static const enum column expendable[] = { EVICTED, TOKENS, SRAM, DEV, USER, PER_TOKEN, ENERGY,
						  HBM };
	unsigned int shown = (1u << COLUMNS_OF_CLIENTS) - 1;
	int needed = COMMAND_MIN;
	size_t i;

	for (i = 0; i < COLUMNS_OF_CLIENTS; i++)
		needed += abs(columns[i].width) + 1;
	for (i = 0; i < sizeof(expendable) / sizeof(expendable[0]) && needed > width; i++) {
		shown &= ~(1u << expendable[i]);
		needed -= abs(columns[expendable[i]].width) + 1;
	}
	return shown;
}

static void column_text(const struct view *v, const struct top_client *c, enum column column,
			char *text, size_t size)
{
	switch (column) {
	case PID:
		snprintf(text, size, "%u", c->use.pid);
		break;
	case USER:
		top_user(text, size, c->use.uid);
		break;
	case DEV:
		snprintf(text, size, "%u", v->top->devices[c->device].info.id);
		break;
	case BUSY:
		rate_text(text, size, c->busy, 100);
		break;
	case HBM:
		top_bytes(text, size, c->use.hbm.total);
		break;
	case SRAM:
		top_bytes(text, size, c->use.sram.total);
		break;
	case EVICTED:
		top_bytes(text, size, c->use.evicted_bytes);
		break;
	case ENERGY:
		top_joules(text, size, (double)c->use.energy_uj / 1e6);
		break;
	case PER_TOKEN:
		rate_text(text, size, c->joules_per_token, 1);
		break;
	default:
		rate_text(text, size, c->tokens_per_s, 1);
		break;
	}
}

/* A client, or, where @c is NULL, the titles. */
static void draw_client(struct view *v, const struct top_client *c, unsigned int shown)
{
	char text[64];
	int i, x = 0;

	for (i = 0; i < COLUMNS_OF_CLIENTS; i++) {
		if (!(shown >> i & 1))
			continue;
		if (c)
			column_text(v, c, (enum column)i, text, sizeof(text));
		else
			snprintf(text, sizeof(text), "%s", columns[i].title);
		put(v, x, "%*.*s ", columns[i].width, abs(columns[i].width), text);
		x += abs(columns[i].width) + 1;
	}
	if (c)
		put(v, x, "%s%s%s", c->use.command, c->use.name[0] ? " " : "", c->use.name);
	else
		put(v, x, "%-*s", v->columns > x ? v->columns - x : 1, "COMMAND");
	v->y++;
}

static void draw_clients(struct view *v)
{
	unsigned int shown = fitting_columns(v->columns);
	const struct top *top = v->top;
	int room = v->rows - v->y - 2, i;

	paint(COLOR_HEAD, has_colors() ? 0 : A_REVERSE);
	draw_client(v, NULL, shown);
	paint(COLOR_PLAIN, 0);
	if (v->scroll > top->nclients - room)
		v->scroll = top->nclients - room;
	if (v->scroll < 0)
		v->scroll = 0;
	for (i = v->scroll; i < top->nclients && v->y < v->rows - 1; i++)
		draw_client(v, &top->clients[i], shown);
}

static void draw(struct view *v)
{
	const struct top *top = v->top;
	int left, graph = 0, i;

	getmaxyx(stdscr, v->rows, v->columns);
	erase();
	v->y = 0;
	/* A third of the window for clients, and three lines for each device, come first. */
	left = v->rows - 2 - v->rows / 3 - 3 * top->ndevices;
	if (top->ndevices)
		graph = left / top->ndevices;
	graph = graph > GRAPH_ROWS_MAX ? GRAPH_ROWS_MAX : graph;
	if (!top->ndevices)
		put(v, 0, "no device of driver nib"), v->y++;
	for (i = 0; i < top->ndevices && v->y < v->rows; i++)
		draw_device(v, &top->devices[i], graph);
	draw_clients(v);
	v->y = v->rows - 1;
	paint(COLOR_PLAIN, A_DIM);
	put(v, 0, "q quit  s sort: %s  +/- delay: %.1f s  arrows scroll  (time and energy are the device's)",
	    top_sort_names[top->sort], v->delay);
	paint(COLOR_PLAIN, 0);
	refresh();
}

/* Returns false to quit. */
static bool key(struct view *v, int c)
{
	switch (c) {
	case 'q':
	case 'Q':
	case 27:
		return false;
	case 's':
		v->top->sort = (v->top->sort + 1) % TOP_SORTS;
		break;
	case '+':
		v->delay = v->delay * 2 > DELAY_MAX ? DELAY_MAX : v->delay * 2;
		break;
	case '-':
		v->delay = v->delay / 2 < DELAY_MIN ? DELAY_MIN : v->delay / 2;
		break;
	case KEY_DOWN:
		v->scroll++;
		break;
	case KEY_UP:
		v->scroll--;
		break;
	case KEY_NPAGE:
		v->scroll += 10;
		break;
	case KEY_PPAGE:
		v->scroll -= 10;
		break;
	}
	return true;
}

int top_view(struct top *top, double delay_s)
{
	struct view v = {
		.top = top,
		.delay = delay_s < DELAY_MIN ? DELAY_MIN : delay_s > DELAY_MAX ? DELAY_MAX : delay_s,
		.utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8"),
	};
	int c, ret = 0;

	/* initscr() ends the program where the terminal is not known; this does not. */
	if (!newterm(NULL, stdout, stdin)) {
		fprintf(stderr, "accel-top: terminal '%s' is not known; --batch or --json?\n",
			getenv("TERM") ? getenv("TERM") : "");
		return 3;
	}
	cbreak();
	noecho();
	curs_set(0);
	keypad(stdscr, true);
	set_escdelay(25);
	start_colors();
	for (;;) {
		draw(&v);
		timeout((int)(v.delay * 1000));
		c = getch();
		if (c != ERR && c != KEY_RESIZE) {
			if (!key(&v, c))
				break;
			continue;
		}
		if (c == ERR && top_sample(top) < 0) {
			ret = 3;
			break;
		}
	}
	endwin();
	return ret;
}
