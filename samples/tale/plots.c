// SPDX-License-Identifier: MIT
/*
 * The plots. Cause and effect hold because each story draws one row of values that belong together:
 * what is lost, where, and where it is found again. How patterns are read is said in plots.h.
 */
#include "plots.h"

#include <stddef.h>

/* clang-format off */
const char *const story_bank[] = {
	"open",
		"{Once upon a time, there was [intro]"
		"|There once was [intro]} who lived [home]."
		"|Once upon a time, [intro] lived [home].|[Home], there lived [intro]."
		"|[h] was a [trait] [kind] who lived [home].",
	"day",
		"{one day"
		"|one {sunny|cool|bright|quiet} {morning|afternoon}"
		"|one {sunny|cool|bright|quiet} {morning|afternoon}|early one morning"
		"|late one afternoon}",
	"sad",
		"{felt very sad|began to cry|hung [his] head|sat down with a long face}",
	"happy",
		"{smiled from ear to ear|laughed with joy|jumped up and down"
		"|felt warm inside}",
	"night",
		"{That night, [h] slept well and dreamed of [dream]."
		"|That evening, [h] told [a] all about it."
		"|It was the best day of the whole {year|summer}."
		"|And they all went home happy."
		"|That night, [h] fell asleep with a smile.}",
	"dream",
		"{flying over the hills|the sea|tiny stars|tall trees and bright birds"
		"|the next adventure}",
	"praise",
		"{\"I am proud of you,\" said [a]|\"Well done, [h]!\" said [a]"
		"|[A] gave [him] a big hug}",
	NULL,
};

const struct plot story_plots[] = {
	{
		.world = BOTH,
		.title = "{The Lost [^1]|[h] and the Lost [^1]|Where Is the [^1]?}",
		.row = {
			"ball/in the garden/under the rose bush",
			"hat/at the beach/behind a big rock",
			"book/in the park/under a wooden bench",
			"scarf/in the woods/on a low branch",
			"whistle/near the pond/in the tall grass",
			"bell/in the meadow/beside a pile of stones",
			"drum/by the river/behind a fallen log",
			"key/in the yard/inside an old boot",
			"feather/on the hill/between two roots",
			"basket/in the orchard/behind the last tree",
			"ring/at the lake/under a flat stone",
			"shell/on the beach/next to an old boat",
		},
		.line = {
			"[open]",
			"{[He] had a [c] [1] and took it everywhere."
			"|More than anything, [he] loved [his] [c] [1]."
			"|[His] favorite thing in the whole world was a [c] [1]."
			"|[His] {grandmother|grandfather} had given [him] a [c] [1], and"
			" [he] was very proud of it.}",
			"{[Day], [h] was playing [2] when [he] saw that the [1] was gone."
			"|[Day], [h] went to play [2], but when it was time to go home,"
			" the [1] was gone."
			"|[Day], [he] fell asleep [2], and when [he] woke up, the [1] was"
			" not there.}",
			"{\"Oh no! Where is my [1]?\" cried [h]."
			"|[He] looked high and low, but [he] could not find it."
			"|[h] looked everywhere and then [sad]."
			"|\"I have lost my [1],\" said [h] with tears in [his] eyes.}",
			"{[F] heard [him] and came to help."
			"|Soon [f] came by and asked what was wrong."
			"|[F] saw [his] sad face and sat down next to [him].}",
			"{\"Let us look together,\" said [f]."
			"|\"Do not worry,\" said [f]. \"Four eyes are better than two.\""
			"|\"Think back,\" said [f]. \"Where did you see it last?\""
			"|\"Where did you sit down to rest?\" asked [f].}",
			"{They searched step by step, and there it was, [3]!"
			"|They looked and looked, and at last [f] found the [1] [3]."
			"|[h] thought hard, walked back, and found the [1] [3]."
			"|Then [f] pointed at something [c]. It was the [1], [3]!}",
			"{[h] hugged [f] and said, \"Thank you! You are a true friend.\""
			"|\"Thank you, [f]!\" said [h], and [he] held the [1] tight."
			"|[h] was so happy that [he] danced all the way home."
			"|From that day on, [h] always kept [his] [1] in a safe place.}",
		},
	},
	{
		.world = BOTH,
		.title = "{The [^1] in the [^2]|[h] and the [^1]|Stuck!}",
		.row = {
			"kite/old oak tree/a long ladder/climbed up and pulled it free",
			"balloon/apple tree/a long rope/pulled it down by its string",
			"hat/tall pine tree/a long stick/pushed it down to the ground",
			"ball/old willow tree/a heavy stone/threw it and knocked the ball down",
			"toy plane/big cherry tree/a fishing rod/caught it with the hook",
			"scarf/tall birch tree/a garden rake/pulled it down with care",
		},
		.line = {
			"{[open]"
			"|[Day], [h] and [f] {ran up the hill|went to the park|walked to"
			" the meadow} to play.}",
			"{[h] had a new [1] that was as [c] as could be."
			"|[h] had just {made|found|been given} a [c] [1]."
			"|That day [h] was playing with a [c] [1].}",
			"{But a strong wind came and blew the [1] into the [2]."
			"|Then the wind took the [1] and carried it up into the [2]."
			"|Suddenly a gust of wind lifted the [1] high up into the [2].}",
			"{[h] jumped as high as [he] could, but the branches were too"
			" high."
			"|[He] shook the tree, but the [1] did not move."
			"|\"It is stuck!\" cried [h]. \"I cannot reach it.\""
			"|[h] tried to climb the tree, but [he] slid back down each time.}",
			"{[h] [sad]. \"Now it is gone forever.\"|[h] was about to give up."
			"|\"I will never get it back,\" said [h].|}",
			"{Then [a] came along with [3]."
			"|Just then, [a] walked by with [3]."
			"|[h] ran to [a], who went and found [3]."
			"|\"Wait here,\" said [a], and [ahe] came back with [3].}",
			"{[A] [4]."
			"|\"This should help,\" said [a]. [Ahe] [4]."
			"|\"Stand back,\" said [a], and [ahe] [4].}",
			"{\"You did it!\" cried [h], and [he] [happy]."
			"|[h] clapped [his] [hands] and thanked [a]."
			"|\"Next time I will hold on tight,\" said [h] with a laugh."
			"|\"Thank you, [a]!\" said [h]. \"I will hold it with both"
			" [hands] from now on.\"}",
			"{|[night]}",
		},
	},
	{
		.world = BOTH,
		.title = "{Half for You|[h] Shares|The Last [^1]|A Friend in Need}",
		.row = {
			"sandwich/left my lunch at home",
			"pie/dropped my lunch in the mud",
			"pear/forgot to eat breakfast",
			"muffin/lost my lunch on the way",
			"pancake/fed my lunch to the birds",
			"apple/gave my lunch to a hungry bird",
		},
		.line = {
			"{[open]"
			"|[Day], [h] sat down [spot] to eat.}",
			"{[h] had {one big|a warm|a fresh} [1] for lunch, and it smelled"
			" wonderful."
			"|[A] had given [him] a [1], and [he] could not wait to eat it."
			"|[He] had one [1] left, and [he] had saved it all day.}",
			"{Then [f] came by and looked at the [1] with big eyes."
			"|Just as [he] was about to take a bite, [f] came along."
			"|Next to [him] sat [f], who had nothing to eat.}",
			"{\"Why are you so quiet?\" asked [h]."
			"|\"Are you hungry, [f]?\" asked [h]."
			"|\"What is the matter?\" asked [h]."
			"|\"Where is your lunch?\" asked [h].}",
			"{\"I [2],\" said [f]."
			"|[F] looked at the ground. \"I [2],\" [fhe] said.}",
			"{[h] looked at the [1]. It was not very big, but [he] broke it"
			" in two."
			"|[h] thought for a moment and then cut the [1] in half."
			"|[h] was hungry too, but [he] did not want [his] friend to go"
			" without.}",
			"{\"Here, one half for you and one half for me,\" [he] said."
			"|\"Take this half,\" said [h]. \"Food tastes better with a"
			" friend.\""
			"|\"We can share,\" said [h], and [he] gave [f] the bigger half.}",
			"{[F] [fhappy], and they ate together in the sun."
			"|The next day, [f] brought two {plums|cakes|cookies}, one for"
			" each of them."
			"|\"You are so kind,\" said [f]. \"One day I will share with you"
			" too.\" And [fhe] did."
			"|It was the best lunch that [h] had ever had.}",
		},
	},
	{
		.world = BOTH,
		.title = "{The Broken [^1]|[h] Fixes the [^1]|As Good as New}",
		.row = {
			"boat/hit a rock and cracked/a bit of glue/floated across the pond again",
			"kite/tore on a thorn/some tape/flew high above the trees again",
			"wagon/lost a wheel/a hammer and a nail/rolled down the path again",
			"puppet/lost an arm/a needle and thread/could wave and dance again",
			"drum/got a hole in its side/a patch of leather/went boom, boom again",
			"toy horse/lost a leg/some glue and a nail/stood as firm as before",
			"music box/fell down and stopped/a tiny screw/played its song again",
			"cart/split down the middle/two strong boards/raced down the hill again",
		},
		.line = {
			"[open]",
			"{[He] liked to play with [his] [c] [1] every day."
			"|[His] [c] [1] was the best in the whole {town|valley}."
			"|[h] had a [c] [1] that had once belonged to [a].}",
			"{But [day], the [1] [2].|Then, [day], the [1] [2]."
			"|[Day], [h] was not careful, and the [1] [2].}",
			"{\"Oh no, it is broken!\" cried [h].|[h] looked at it and [sad]."
			"|\"It will never work again,\" said [h]."
			"|\"What shall I do now?\" asked [h].}",
			"{[He] took the [1] to [a]."
			"|[A] heard the noise and came to look.|[h] asked [a] for help.}",
			"{\"We do not throw it away,\" said [a]. \"We can fix it with"
			" [3].\""
			"|\"Broken things can be mended,\" said [a], and [ahe] went to"
			" get [3]."
			"|\"All we need is [3],\" said [a].}",
			"{They worked together until {noon|the sun went down|it was time"
			" for supper}."
			"|[h] held the [1] still while [a] worked."
			"|[A] showed [h] how to do it, and [h] did the rest.}",
			"{When they were done, the [1] [4].|Soon the [1] [4]."
			"|It took a long time, but then the [1] [4].}",
			"{\"It is even better than before!\" said [h].|[h] [happy]."
			"|[h] was proud, because [he] had helped to fix it."
			"|\"Now I know how to mend things,\" said [h].}",
		},
	},
	{
		.world = BOTH,
		.title = "{A Rainy Day|[h] and the Rain|Rain, Rain}",
		.row = {
			"have a picnic/packed a basket with bread and jam/put a blanket on the"
			" floor and ate there",
			"fly a kite/tied a long string to the kite/painted clouds on the wall and"
			" a kite among them",
			"go to the beach/packed a bucket and a towel/made an island out of pillows",
			"camp in the woods/packed a tent and a lamp/built a tent out of blankets",
			"sail a boat/found a boat with a white sail/made a boat out of a big box",
			"look for treasure/drew a big map/hid coins all over the house and hunted"
			" for them",
		},
		.line = {
			"{[open]|[h] and [f] had a plan.}",
			"{[Day], [h] wanted to [1]."
			"|All week long, [h] and [f] had waited to [1].}",
			"{They [2] and put on their shoes."
			"|They [2] and hurried to the door."
			"|[h] [2] while [f] got ready.}",
			"{But then dark clouds came, and it began to rain."
			"|Just then, big drops of rain fell from the sky."
			"|But outside, the rain was pouring down.}",
			"{\"Our day is ruined,\" said [h]."
			"|[h] looked out of the window and [sad]."
			"|\"It is not fair,\" said [h]."
			"|\"Will it ever stop?\" asked [f].}",
			"{Then [f] had an idea."
			"|\"Wait, I have an idea,\" said [f]."
			"|[A] smiled and said, \"Who needs the sun?\""
			"|\"We can still have fun,\" said [a].}",
			"{They [3].|So they [3].|All together, they [3].}",
			"{They laughed so much that they forgot about the rain."
			"|When the rain stopped, they did not even see it, because they"
			" were having so much fun."
			"|Later the sun came out, and a rainbow stood over the"
			" {hills|fields|trees}.}",
			"{\"This was better than our plan,\" said [h]."
			"|\"I hope it rains tomorrow too,\" said [f].|[night]|}",
		},
	},
	{
		.world = BOTH,
		.title = "{[h] Is Brave|Brave [h]|Not Afraid Anymore}",
		.row = {
			"the dark/Look up. The stars only come out when it is dark/looked out at"
			" the stars",
			"thunder/Thunder is only the clouds clapping their hands/clapped back at"
			" the clouds",
			"deep water/Take my hand and we will go in slowly/took one small step and"
			" then one more",
			"the big slide/Sit down, take a deep breath and count to three/counted to"
			" three and let go",
			"the old bridge/Do not look down. Look at me/walked across with small"
			" steps",
			"the wind/The wind only wants to sing for you/listened to its song",
			"the tall ladder/Hold on tight and take one step at a time/climbed up"
			" step by step",
			"the big dog/Stand still and let him smell your hand/held out a hand and"
			" stood still",
		},
		.line = {
			"[open]",
			"{[h] was not afraid of many things, but [he] was afraid of [1]."
			"|There was only one thing that [h] did not like, and that was"
			" [1]."
			"|[He] was happy most of the time, but [1] made [him] shake.}",
			"{[Day], [h] hid behind [a] and closed [his] eyes."
			"|[Day], [h] stood there with shaking knees."
			"|[Day], all [his] friends laughed and played, but [h] stayed"
			" behind.}",
			"{\"I cannot do it,\" [he] said."
			"|\"I am scared of [1],\" [he] told [a]."
			"|\"Please do not let go of me,\" said [h]."
			"|\"What is wrong?\" asked [a]. \"I am afraid,\" said [h].}",
			"{\"[2],\" said [a]."
			"|[A] sat down next to [him]. \"[2],\" [ahe] said."
			"|\"I was afraid of [1] once too,\" said [a]. \"[2].\"}",
			"{So [h] [3]."
			"|[h] took a deep breath and [3]."
			"|Slowly, [h] opened [his] eyes and [3].}",
			"{[His] heart beat fast, but nothing bad happened."
			"|It was not so bad at all."
			"|At first [he] was still scared, but soon [he] began to smile.}",
			"{\"I did it!\" cried [h]."
			"|\"Look at me!\" [he] called. \"I am not afraid anymore.\""
			"|[praise].}",
			"{After that, [h] was never afraid of [1] again."
			"|From that day on, [h] helped others who were afraid of [1]."
			"|Being brave, [h] learned, means being scared and trying anyway."
			"|}",
		},
	},
	{
		.world = BOTH,
		.title = "{The Lost [^1]|[h] Helps a [^1]|The Way Home}",
		.row = {
			"baby bird/nest in the apple tree/mother bird/peep, peep/worm",
			"duckling/pond behind the hill/mother duck/quack, quack/piece of bread",
			"kitten/barn by the road/mother cat/meow, meow/drop of milk",
			"lamb/field across the river/mother sheep/baa, baa/handful of grass",
			"owlet/hole in the old oak/mother owl/hoot, hoot/berry",
			"puppy/farm on the hill/mother dog/woof, woof/bit of cheese",
		},
		.line = {
			"[open]",
			"{[Day], [he] was walking down the path when [he] heard a small"
			" sound: \"[!4].\""
			"|[Day], [h] heard something cry under a bush: \"[!4].\"}",
			"{It was a [1], all alone and {cold|wet|shaking}."
			"|There, between the leaves, sat a little [1]."
			"|[h] bent down and saw a tiny [1].}",
			"{\"Are you lost?\" asked [h]."
			"|\"Poor little thing,\" said [h]. \"You want your mother.\""
			"|\"Where is your home?\" asked [h] in a soft voice.}",
			"{[He] wrapped it in [his] scarf and gave it a [5]."
			"|First [he] gave it a [5], for it was very hungry."
			"|[He] held it close to keep it warm.}",
			"{Then [he] asked [a], who knew every {path|tree|corner} for"
			" miles."
			"|\"Do you know where it lives?\" [he] asked [a].}",
			"{\"It comes from the [2],\" said [a]."
			"|\"Try the [2],\" said [a]. \"I saw a [3] there.\"}",
			"{So [h] carried the [1] all the way to the [2]."
			"|It was a long walk to the [2], but [h] did not stop.}",
			"{There the [3] was waiting, and she was so glad to see her"
			" little one."
			"|The [3] came running and kissed her little one."
			"|When the [3] saw them, she cried with joy.}",
			"{\"Thank you for bringing my baby home,\" she said."
			"|[h] waved and walked home with a happy heart."
			"|Every spring after that, the [3] came to say hello to [h].}",
		},
	},
	{
		.world = BOTH,
		.title = "{A [^1] for [A]|The Birthday [^1]|[h] Bakes a [^1]}",
		.row = {
			"cake/eggs/the farmer down the road/four fresh eggs/were/them",
			"pie/apples/the neighbor with the big orchard/a bag of apples/were/it",
			"pudding/milk/the old woman with the cow/a jug of milk/was/it",
			"loaf of bread/flour/the miller by the river/a sack of flour/was/it",
			"honey cake/honey/the man who kept bees/a jar of honey/was/it",
			"tart/berries/the girl at the market/a basket of berries/were/it",
		},
		.line = {
			"{It was almost [a]'s birthday."
			"|[open] The next day was [a]'s birthday."
			"|Tomorrow was [a]'s birthday, and [h] could hardly wait.}",
			"{\"I will bake a [1],\" said [h]."
			"|[h] wanted to surprise [ahim] with a [1]."
			"|\"Let us make a [1] for [ahim],\" said [h] to [f].}",
			"{[He] took out a big bowl and a wooden spoon, but there [5] no"
			" [2] left."
			"|But when [he] looked in the kitchen, there [5] no [2]."
			"|But one thing was missing. There [5] no [2] in the house.}",
			"{\"What can I do without [2]?\" [he] asked."
			"|\"A [1] without [2] is no good,\" [he] said."
			"|[h] [sad], but only for a moment.}",
			"{Then [he] ran to [3] and asked for help."
			"|So [he] went to [3] and knocked on the door."
			"|\"I know who has some,\" [he] said, and [he] ran to [3].}",
			"{There [he] got [4] and carried [6] home with care."
			"|\"Of course I can help,\" came the answer, and [he] was given"
			" [4]."
			"|[h] offered to sweep the yard, and in return [he] was given"
			" [4].}",
			"{[He] mixed and stirred, and soon the whole house smelled sweet."
			"|[He] worked until the sun went down."
			"|The [1] went into the oven, and [h] watched it rise.}",
			"{When [a] saw the [1], [ahe] had tears of joy in [ahis] eyes."
			"|\"Surprise!\" cried [h], and [a] could not believe [ahis] eyes."
			"|\"Is that for me?\" asked [a]. \"Happy birthday!\" said [h].}",
			"{It was the best [1] that [a] had ever tasted."
			"|They sent a big piece to [3], and everyone was happy."
			"|They ate every last bit of it.}",
		},
	},
	{
		.world = BOTH,
		.title = "{The Big Race|[h] and [f] Race|Who Will Win?}",
		.row = {
			"to the old mill/fell over a root/[fhis] knee was hurt",
			"around the lake/slipped in the mud/[fhis] foot was hurt",
			"up the green hill/ran into a bush/thorns were stuck in [fhis] coat",
			"to the bridge and back/fell into a ditch/[fhe] could not climb out",
			"through the woods/stepped in a hole/[fhis] leg was hurt",
		},
		.line = {
			"[open]",
			"{[h] could run very fast, and [he] told everyone about it."
			"|Nobody in the {town|valley} could run as fast as [h]."
			"|[h] loved to run and [he] loved to win.}",
			"{[Day], there was a race [1]."
			"|\"Let us race [1],\" said [f]."
			"|[Day], [h] and [f] had a race [1].}",
			"{\"Ready, set, go!\" called [a]."
			"|[A] waved a [c] flag, and off they went."
			"|\"Run!\" cried [a], and they ran like the wind.}",
			"{[h] was far in front when [f] [2].|Halfway there, [f] [2]."
			"|They ran side by side until [f] [2].}",
			"{\"Ouch!\" cried [f], because [3]."
			"|[F] could not go on, because [3].}",
			"{[h] could see the finish line, but [he] turned around."
			"|[h] looked at the finish line and then at [his] friend. [He]"
			" stopped."
			"|\"Winning can wait,\" thought [h], and [he] went back.}",
			"{[He] helped [f] up, and they walked to the end side by side."
			"|\"Lean on me,\" said [h], and they crossed the line together.}",
			"{\"You both win,\" said [a]."
			"|Everyone clapped louder than ever before."
			"|\"You lost the race,\" said [f], \"but you are the best"
			" friend.\""
			"|[praise]. \"A good friend is worth more than a prize.\"}",
		},
	},
	{
		.world = BOTH,
		.title = "{The Little Seed|[h] and the Seed|Wait and See}",
		.row = {
			"pumpkin seed/a pumpkin as big as a cart/made soup for the whole {town"
			"|valley}",
			"sunflower seed/a sunflower as tall as the house/gave its seeds to the"
			" birds",
			"bean/a bean plant that climbed up to the roof/picked beans until the"
			" basket was full",
			"apple seed/a little apple tree/sat in its shade when the days were hot",
			"melon seed/a melon as round as the moon/cut it up and shared it with"
			" everyone",
			"strawberry seed/a patch of sweet strawberries/ate them with cream",
		},
		.line = {
			"[open]",
			"{[Day], [a] gave [him] a tiny [1]."
			"|[Day], [h] found a [1] in [his] pocket."
			"|[Day], a bird dropped a [1] at [his] feet.}",
			"{[h] put it in the ground and gave it some water."
			"|[He] dug a small hole, put the seed in it, and covered it with"
			" soil."
			"|\"Grow, little seed,\" said [h], and [he] put it into the soil.}",
			"{The next day [he] ran out to look, but there was nothing to see."
			"|[He] waited one day, and two days, and three days, but nothing"
			" came up."
			"|A whole week went by, and nothing happened.}",
			"{\"It does not work,\" said [h]."
			"|\"Maybe it is a bad seed,\" said [f]."
			"|\"Why does it not grow?\" [he] asked [a].}",
			"{\"Give it time,\" said [a]. \"Good things grow slowly.\""
			"|\"Water it and wait,\" said [a]."
			"|\"You cannot see it yet,\" said [a], \"but it is busy under the"
			" ground.\"}",
			"{So every morning, [h] watered it and waited."
			"|So [h] watered it day after day and sang to it.}",
			"{Then, [day], a tiny green leaf came out of the ground."
			"|And [day], something green was there!}",
			"{It grew and grew until it was [2]."
			"|By the end of the summer, it was [2].}",
			"{They [3], and [h] was very proud.|When it was ready, they [3]."
			"|\"It was worth the wait,\" said [h].}",
		},
	},
	{
		.world = CHILDREN,
		.title = "{The Broken [^1]|[h] Tells the Truth|The Truth}",
		.row = {
			"vase/was playing ball in the house/the ball hit the vase",
			"window/was throwing stones/a stone flew too far",
			"lamp/was jumping on the bed/a pillow knocked the lamp over",
			"teapot/was running through the kitchen/an elbow pushed the teapot off"
			" the table",
			"mirror/was dancing in the hall/a shoe flew off and hit the mirror",
			"plate/was spinning a plate like a top/the plate rolled off the table",
		},
		.line = {
			"{[open]"
			"|[A] had told [h] many times to be careful.}",
			"{[Day], [h] [2], and [3]."
			"|[Day], while [a] was out, [h] [2]. Then [3].}",
			"{Crash! The [1] was in pieces."
			"|With a loud crash, the [1] broke."
			"|The [1] broke into a hundred pieces.}",
			"{[h] was scared and hid behind the {door|sofa}."
			"|\"What will [a] say?\" thought [h]."
			"|\"Nobody saw me,\" thought [h].}",
			"{When [a] came home, [ahe] asked, \"Who broke the [1]?\""
			"|\"What happened to the [1]?\" asked [a]."
			"|Soon [a] came in and saw what had happened.}",
			"{[h] wanted to say that the cat did it, but [he] felt bad inside."
			"|[h] looked at [his] shoes and said nothing for a long time."
			"|For a moment, [h] did not know what to say.}",
			"{\"I did it,\" [he] said at last. \"I am sorry.\""
			"|Then [he] took a deep breath and told the truth."
			"|\"It was me,\" said [h], and a tear rolled down [his] cheek.}",
			"{[A] was not angry. \"Thank you for telling me the truth,\""
			" [ahe] said."
			"|\"That was brave,\" said [a]. \"A [1] can be replaced, but"
			" trust cannot.\""
			"|\"I am glad that you told me,\" said [a], and [ahe] gave [him]"
			" a hug.}",
			"{Together they swept up the pieces."
			"|[h] helped to clean up and promised to be more careful."
			"|After that, [h] only played outside.}",
		},
	},
	{
		.world = CHILDREN,
		.title = "{[h] Learns to [^1]|Try Again, [h]|One More Try}",
		.row = {
			"ride a bike/fell into the grass/rode all the way down the street",
			"swim/swallowed some water/swam from one side of the pool to the other",
			"skate/fell on the ice/made a big circle on the ice",
			"whistle/only blew air/whistled like a bird",
			"play the flute/made a terrible noise/played a song for everyone",
			"jump rope/got caught in the rope/jumped ten times in a row",
			"climb a tree/slid back down/sat on the highest branch",
		},
		.line = {
			"{[open]|[h] had one big wish.}",
			"{[h] wanted to [1] more than anything."
			"|All the other children could [1], but [h] could not."
			"|\"I want to [1],\" said [h], \"just like [f].\"}",
			"{[Day], [he] tried for the first time and [2]."
			"|The first time [he] tried, [he] [2]."
			"|[Day], [a] showed [him] how, but [h] [2].}",
			"{[He] tried again and [2] again."
			"|The second time was no better."
			"|\"I will never learn it,\" said [h].}",
			"{[h] wanted to give up."
			"|\"This is too hard,\" [he] said, and [he] [sad]."
			"|\"I am no good at this,\" [he] said.}",
			"{\"Nobody can do it the first time,\" said [a]."
			"|\"I failed a hundred times before I learned,\" said [f]."
			"|\"Try one more time,\" said [a]. \"I will stay with you.\"}",
			"{So [h] tried again every day after school."
			"|So [h] took a deep breath and tried once more."
			"|Day after day, [h] went on trying.}",
			"{And then it happened. [h] [3]!|At last, [he] [3]!"
			"|After a week, [he] [3], and everyone clapped.}",
			"{\"I can do it!\" [he] shouted.|[praise]."
			"|\"Did you see me?\" asked [h], and [he] [happy]."
			"|\"I knew that you could do it,\" said [a].}",
		},
	},
	{
		.world = BOTH,
		.title = "{The Tall Tower|[h] Builds|Built Again}",
		.row = {
			"sandcastle/at the beach/a big wave washed it away/farther from the sea",
			"tree house/in the old oak/a branch broke under it/on a stronger branch",
			"tower of stones/by the river/the water pushed it over/on higher ground",
			"hut of sticks/in the meadow/the wind blew it down/behind a big rock",
			"dam of mud/at the stream/the rain washed it away/with stones and strong"
			" sticks",
		},
		.line = {
			"{[open]"
			"|[h] and [f] liked to build things.}",
			"{[Day], [h] and [f] built a [1] [2]."
			"|[Day], [h] built a [1] [2], and [f] helped."
			"|[Day], [h] and [f] spent hours on a [1] [2].}",
			"{It was the finest [1] that anyone had ever seen."
			"|\"It looks great,\" said [f].|They put a [c] flag on top.}",
			"{But then [3]."
			"|They went home for lunch, and while they were gone, [3]."
			"|Then, all of a sudden, [3].}",
			"{\"All that work for nothing!\" cried [h].|[h] [sad]."
			"|\"It is all gone,\" said [h].}",
			"{\"We can build it again,\" said [f], \"and this time we know"
			" better.\""
			"|\"At least we know what went wrong,\" said [f]."
			"|\"Do not be sad,\" said [f]. \"Let us think.\"}",
			"{So they built a new one [4]."
			"|They started again, this time [4]."
			"|[h] dried [his] eyes, and they built another one [4].}",
			"{The new [1] stood for many days."
			"|It was even bigger than the first one."
			"|This time it lasted, and everyone came to see it.}",
			"{\"Sometimes you have to lose something to learn,\" said [h]."
			"|\"We make a good team,\" said [f].|[night]}",
		},
	},
	{
		.world = BOTH,
		.title = "{[h] Cannot Sleep|Good Night, [h]|A Noise in the Night}",
		.row = {
			"tap, tap, tap/a branch at the window/moved the branch away",
			"drip, drip, drip/rain that fell into a bucket/emptied the bucket",
			"scratch, scratch/a little mouse that looked for crumbs/gave it a bit of"
			" cheese",
			"hoo, hoo/an owl on the roof/waved good night to it",
			"bang, bang/the garden gate in the wind/closed the gate",
			"squeak, squeak/an old door that needed oil/put a drop of oil on it",
		},
		.line = {
			"{It was late, and [h] was in bed."
			"|[open] One night, [he] could not sleep."
			"|The moon was high, and the whole house was quiet.}",
			"{[He] turned to the left, and [he] turned to the right, but"
			" sleep did not come."
			"|[h] counted sheep and stars, but [he] was still awake."
			"|[h] closed [his] eyes and tried to sleep.}",
			"{Then [he] heard a sound: \"[!1].\""
			"|Suddenly, something went \"[1]\" in the dark.}",
			"{\"Who is there?\" whispered [h]."
			"|[h] pulled the blanket up to [his] nose."
			"|\"[A], there is a monster!\" cried [h].}",
			"{[A] came in with a small lamp."
			"|Soon [a] sat on the edge of the bed.}",
			"{\"Let us go and see,\" said [a], and [ahe] took [his] hand."
			"|\"Monsters do not make that sound,\" said [a]. \"Come with"
			" me.\"}",
			"{Step by step, they went to look. It was only [2]."
			"|And what did they find? It was [2]!}",
			"{They laughed and [3]."
			"|[h] laughed out loud, and they [3]."
			"|\"That is not a monster at all,\" said [h], and they [3].}",
			"{Then [h] went back to bed and slept until morning."
			"|Soon [h] was fast asleep, dreaming of [dream]."
			"|\"Good night, [a],\" said [h], and a minute later [he] was"
			" asleep.}",
		},
	},
	{
		.world = BOTH,
		.title = "{The Little Thief|Who Took the [^1]?|The Missing [^1]}",
		.row = {
			"cookies/squirrel/crumbs/a hole in a tree/babies",
			"nuts/crow/black feathers/a nest on the roof/chicks",
			"berries/mouse/tiny footprints/a hole in the wall/babies",
			"plums/raccoon/plum stones/a hollow log/babies",
			"seeds/sparrow/small feathers/a nest in the hedge/chicks",
		},
		.line = {
			"[open]",
			"{Every morning, [h] put a bowl of [1] on the table."
			"|[h] loved [1] and always kept some in a [c] bowl."
			"|[Day], [h] left a bowl of [1] by the window.}",
			"{But when [he] looked again, the bowl was empty."
			"|But every evening, some of the [1] were gone.}",
			"{\"Who took my [1]?\" asked [h]."
			"|\"Did you eat my [1]?\" [he] asked [f]. But [f] shook [fhis]"
			" head."
			"|\"There must be a thief,\" said [h].}",
			"{Then [he] saw some [3] on the floor."
			"|[He] looked around and found [3].|\"Look, [3]!\" said [f].}",
			"{[h] followed them to [4]."
			"|They led out of the door and all the way to [4].}",
			"{There sat a [2] with four hungry [5]."
			"|Inside was a [2], feeding her [5].}",
			"{\"I am sorry,\" said the [2]. \"My [5] were so hungry.\""
			"|The [2] looked up with big, frightened eyes."
			"|\"Please do not be angry,\" said the [2].}",
			"{[h] was not angry anymore. \"You only had to ask,\" [he] said."
			"|\"I have enough for all of us,\" said [h].}",
			"{From then on, [he] put out two bowls, one for [him2] and one"
			" for the [2]."
			"|After that, [h] brought them [1] every day.}",
		},
	},
	{
		.world = CHILDREN,
		.title = "{The New [^fkind]|A New Friend|[h] Says Hello}",
		.row = {
			"drew a picture of a horse/drawing/drew a whole farm",
			"sang a quiet song/singing/sang for the whole class",
			"built a bridge out of blocks/building/built a whole city",
			"read a book about whales/reading/read to each other every day",
			"folded a bird out of paper/folding paper/made a hundred paper birds",
			"kicked a ball against the wall/playing ball/started a team",
		},
		.line = {
			"{[open]"
			"|It was the first day of school.}",
			"{[Day], a new {child|[fkind]} came to school. [Fhis] name was"
			" [name]."
			"|[Day], a [fkind] named [name] moved into the house next door.}",
			"{[F] was very shy and stood alone by the {wall|fence|gate}."
			"|[F] did not know anyone, and [fhe] sat all alone."
			"|Nobody talked to [f], because [fhe] was so quiet.}",
			"{[h] remembered how it felt to be new."
			"|[h] saw it and thought, \"[Fhe] must be lonely.\""
			"|\"I wonder what [fhe] likes,\" thought [h].}",
			"{Then [he] saw that [f] [1]."
			"|After lunch, [f] [1], and [h] watched.}",
			"{\"You are good at [2],\" said [h]. \"Can you show me how?\""
			"|\"I like [2] too,\" said [h]. \"May I join you?\""
			"|\"Hello, I am [h],\" [he] said. \"Do you like [2]?\"}",
			"{[F] looked up and smiled for the first time."
			"|[F] nodded and moved over to make room."
			"|\"Yes, please,\" said [f] in a small voice.}",
			"{Soon they [3]."
			"|They had so much fun together that they [3].}",
			"{After that, [f] was never alone again."
			"|\"I am glad that you came here,\" said [h]."
			"|A hello is a small word, but it can start a friendship.}",
		},
	},
	{
		.world = BOTH,
		.title = "{Mine!|Two Friends and One [^1]|Taking Turns}",
		.row = {
			"swing/pulled it from both sides/the rope broke/tied it up again and took"
			" turns",
			"drum/pulled it from both sides/it fell into a puddle/dried it and took"
			" turns",
			"toy boat/pushed each other/it floated away/ran after it together and"
			" took turns",
			"blanket/pulled as hard as they could/it tore in two/sewed it together"
			" and shared it",
			"wagon/pushed each other/it rolled into a ditch/pulled it out together"
			" and took turns",
		},
		.line = {
			"{[open]"
			"|[h] and [f] were the best of friends.}",
			"{[Day], [h] and [f] found a [c] [1]."
			"|[Day], [a] gave [h] and [f] a [c] [1].}",
			"{\"I saw it first!\" cried [h]. \"No, it is mine!\" cried [f]."
			"|Both of them wanted it, and neither wanted to wait."
			"|\"Me first!\" said [h]. \"No, me!\" said [f].}",
			"{They [2] until [3]."
			"|They shouted, and they [2], and then [3].}",
			"{Now nobody had anything.|Suddenly it was very quiet."
			"|They looked at each other, and both of them were sorry.}",
			"{\"Now look what we have done,\" said [h]."
			"|\"It was my fault,\" said [f]. \"No, it was mine,\" said [h]."
			"|\"I am sorry,\" said [h]. \"I am sorry too,\" said [f].}",
			"{So they [4]."
			"|\"Let us fix this together,\" said [f]. So they [4].}",
			"{They found out that sharing was twice as much fun."
			"|[A] saw it and smiled."
			"|\"You go first,\" said [h]. \"No, you go first,\" said [f], and"
			" they laughed.}",
		},
	},
	{
		.world = BOTH,
		.title = "{The Old Map|[h] and the Treasure|The Secret of the [^2]}",
		.row = {
			"in the attic/cave/behind the waterfall/a box of old letters/read them by"
			" the fire",
			"in a bottle/cave/under the cliff/a chest of shells/made a necklace for"
			" everyone",
			"inside a book/tree/on top of the hill/a bag of silver coins/bought a"
			" bell for the school",
			"under a stone/well/behind the old mill/a golden cup/gave it to the museum",
			"in a dusty box/tower/at the edge of the woods/a box of painted toys/gave"
			" one to every child",
		},
		.line = {
			"[open]",
			"{[Day], [h] found an old map [1]."
			"|[Day], [h] was looking for [his] shoes when [he] found a map"
			" [1].}",
			"{A [c] cross marked a [2] [3]."
			"|It showed the way to a [2] [3].}",
			"{\"A treasure!\" cried [h], and [he] ran to tell [f]."
			"|\"We must find it,\" said [f]."
			"|[He] ran to [f] and showed [fhim] the map.}",
			"{They walked all morning over {hills and fields|sticks and"
			" stones}."
			"|They packed some bread and set out at once."
			"|The way was long, but they sang all the time.}",
			"{At last, they saw the [2] [3]."
			"|When the sun was high, they came to the [2].}",
			"{They were both a little afraid, but they went on."
			"|They dug until their [hands] were tired."
			"|[F] was a little afraid, but [h] went first.}",
			"{And there was [4]!|There they found [4]."
			"|\"Look!\" whispered [f]. It was [4].}",
			"{They took it home and [5].|That evening, they [5].}",
			"{\"The best part was looking for it with you,\" said [f].|[night]"
			"|[h] kept the map and wondered who had made it.}",
		},
	},
	{
		.world = CHILDREN,
		.title = "{The Gift|[h] and the Coin|A Warm Heart}",
		.row = {
			"toy train/old man/had no gloves/a pair of gloves",
			"music box/girl/had lost her bus money/a ticket",
			"paint box/boy/had nothing to eat/a bowl of soup",
			"wooden sled/old woman/was shaking with cold/a warm shawl",
			"big kite/baker/had dropped all his eggs/a dozen eggs",
		},
		.line = {
			"[open]",
			"{For a whole year, [h] had saved [his] coins."
			"|[h] had worked hard and saved every coin.}",
			"{[He] wanted to buy a [1] that [he] had seen in the shop window."
			"|In the window of the shop stood a [c] [1], and [h] wanted it"
			" very much.}",
			"{[Day], [he] ran to the shop with all [his] coins."
			"|[Day], [he] had enough at last and hurried to the shop.}",
			"{But on the way, [he] met a [2] who [3]."
			"|In front of the shop stood a [2] who [3].}",
			"{[h] looked at the [1], and then [he] looked at [his] coins."
			"|[h] stopped and thought for a long time.}",
			"{Then [he] went and bought [4] instead."
			"|\"You need it more than I do,\" said [h], and [he] bought [4]"
			" for the [2].}",
			"{\"How kind you are,\" said the [2]."
			"|The [2] smiled, and it was like the sun coming out.}",
			"{[h] went home without the [1], but [his] heart was warm."
			"|When [a] heard about it, [ahe] was very proud.}",
			"{On [his] birthday, there was a big box for [him]. Inside was"
			" the [1]!"
			"|The next morning, the [1] stood in front of [his] door, and"
			" nobody knew where it came from."
			"|\"Giving feels even better than getting,\" [he] told [f].}",
		},
	},
	{
		.world = BOTH,
		.title = "{Down the River|The Runaway [^1]|[h] and the [^1]}",
		.row = {
			"hat/blew off [fhis] head",
			"paper boat/slipped out of [fhis] hand",
			"ball/rolled down the bank",
			"basket/fell off the bridge",
			"shoe/came off while [fhe] was playing in the water",
		},
		.line = {
			"{[open]"
			"|[Day], [h] and [f] went down to the river.}",
			"{They were playing near the water when [f]'s [1] [2]."
			"|[F] was laughing so hard that the [1] [2]."
			"|Then, with a splash, [f]'s [1] [2].}",
			"{The [1] landed in the river and floated away."
			"|The water took the [1] and carried it off.}",
			"{\"Help! My [1]!\" cried [f]."
			"|\"Stop it!\" cried [f], and [fhe] ran along the bank.}",
			"{[h] ran after it, but the river was too fast."
			"|[h] reached out for it, but it was too far away.}",
			"{A {duck|swan|beaver} saw what had happened."
			"|Down by the bend, a friendly {duck|swan|beaver} was taking a"
			" bath.}",
			"{\"Can you help us, please?\" called [h]."
			"|\"Please catch that [1]!\" called [h].}",
			"{In a flash, it swam out and caught the [1]."
			"|It swam out and pushed the [1] to the bank.}",
			"{\"Thank you!\" they both said."
			"|[F] hugged the wet [1], and they all laughed."
			"|They gave it a piece of bread to say thank you.}",
			"{\"Next time we will stay away from the edge,\" said [f].|[night]"
			"|}",
		},
	},
};

/* clang-format on */

const unsigned story_n_plots = sizeof(story_plots) / sizeof(story_plots[0]);
